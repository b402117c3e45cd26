import t from 'tap';
import { readNetConfig } from '../src/config.js';

t.test('swarmd-net’s flags › win over variables, which win over defaults', async (t) => {
  const env = { SWARMD_NET_STATE_DIR: '/from/env', SWARMD_NET_RUN_DIR: '/run/env', SWARMD_LOG_LEVEL: 'trace' };
  t.same(readNetConfig(['--state-dir', '/from/flag'], env, '1'), {
    run: { stateDir: '/from/flag', runDir: '/run/env', pluginsDir: '/run/docker/plugins', logLevel: 'info' },
  });
});

t.test('swarmd-net’s flags › errors name the flag and what is allowed', async (t) => {
  t.throws(() => readNetConfig(['--run-dir', 'relative'], {}, '1'), { message: '--run-dir must be an absolute path' });
  t.throws(() => readNetConfig([], { SWARMD_NET_LOG_LEVEL: 'loud' }, '1'), {
    message: /--log-level must be one of trace/,
  });
  t.match(readNetConfig(['--nonsense'], {}, '1'), { exitCode: 2, text: /--nonsense.*\n.*--help/ });
  t.match(readNetConfig(['--version'], {}, '1.2'), { exitCode: 0, text: 'swarmd-net 1.2' });
  t.match(readNetConfig(['-h'], {}, '1'), { exitCode: 0, text: /--plugins-dir/ });
});
