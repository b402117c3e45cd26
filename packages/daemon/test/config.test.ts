import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SwarmdError } from '@swarmd/model';
import t from 'tap';
import { readConfig } from '../src/config.js';

function configOf(argv: string[], env: NodeJS.ProcessEnv = {}): unknown {
  const invocation = readConfig(argv, env, '1.2.3');
  if (!('run' in invocation)) throw new Error(`expected a configuration, got: ${invocation.text}`);
  return invocation.run;
}

t.test('configuration › has the documented defaults and is frozen', async (t) => {
  const config = configOf([]);
  t.same(config, {
    dataDir: '/var/lib/swarmd',
    runDir: '/run/swarmd',
    hostSocket: '/run/swarmd/swarmd.sock',
    engineSocket: '/var/run/docker.sock',
    listenAddr: '0.0.0.0:2377',
    advertiseAddr: undefined,
    store: undefined,
    networkProcess: 'start',
    group: 'docker',
    logLevel: 'info',
    backup: undefined,
  });
  t.ok(Object.isFrozen(config));
});

t.test('configuration › takes flags before the environment, and that before the file', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'swarmd-config-')), 'swarmd.yaml');
  writeFileSync(file, 'data-dir: /file\ngroup: file\nlog-level: warn\n');
  const config = configOf(['--config', file, '--data-dir', '/flag'], { SWARMD_DATA_DIR: '/env', SWARMD_GROUP: 'env' });
  t.match(config, { dataDir: '/flag', group: 'env', logLevel: 'warn' });
});

t.test('configuration › takes a schedule of backups, a day and seven of them unless told', async (t) => {
  const needed = ['--backup-dir', '/b', '--backup-key-file', '/k'];
  const day = 24 * 3_600_000;
  t.match(configOf(needed), { backup: { dir: '/b', keyFile: '/k', intervalMs: day, keep: 7 } });
  const chosen = [...needed, '--backup-interval', '90m', '--backup-keep', '2'];
  t.match(configOf(chosen), { backup: { intervalMs: 5_400_000, keep: 2 } });
});

t.test('configuration › takes an etcd that others run', async (t) => {
  t.match(configOf(['--store', 'etcd://127.0.0.1:2379']), {
    store: { endpoint: '127.0.0.1:2379', prefix: '/swarmd/', tls: undefined },
  });
  const tls = { caFile: '/ca.pem', certificateFile: '/me.pem', keyFile: '/me.key' };
  const files = '?ca=/ca.pem&cert=/me.pem&key=/me.key';
  for (const [text, expected] of [
    [
      `etcd://10.0.0.1:2379,10.0.0.2:2379/prod/east${files}`,
      { endpoint: '10.0.0.1:2379,10.0.0.2:2379', prefix: '/prod/east/' },
    ],
    [`etcd://etcd.example:2379/${files}`, { endpoint: 'etcd.example:2379', prefix: '/swarmd/' }],
    [`etcd://[fd00::1]:2379${files}`, { endpoint: '[fd00::1]:2379', prefix: '/swarmd/' }],
  ] as const)
    t.match(configOf(['--store', text]), { store: { ...expected, tls } }, text);
});

t.test('configuration › names the wrong setting and says what is allowed', async (t) => {
  for (const [argv, message] of [
    [['--host', 'tcp://0.0.0.0:2375'], /--host: tcp:\/\/ is refused: without client certificates/],
    [['--engine', 'docker.sock'], /--engine: "docker.sock" is not unix:\/\/ followed by an absolute path/],
    [['--listen-addr', 'here:2377'], /--listen-addr: "here:2377" is not IP:PORT/],
    [['--listen-addr', '0.0.0.0:99999'], /--listen-addr: "0.0.0.0:99999" is not IP:PORT/],
    [['--advertise-addr', 'eth0'], /--advertise-addr must be an IP address/],
    [['--data-dir', 'relative'], /--data-dir must be an absolute path/],
    [['--store', 'http://10.0.0.1:2379'], /--store: "http:\/\/10.0.0.1:2379" is not etcd:\/\/HOST:PORT/],
    [['--store', 'etcd://10.0.0.1'], /--store: "10.0.0.1" is not HOST:PORT/],
    [['--store', 'etcd://10.0.0.1:99999'], /--store: "10.0.0.1:99999" is not HOST:PORT/],
    [['--store', 'etcd://10.0.0.1:2379'], /--store: an etcd on another host is used with TLS only/],
    [['--store', 'etcd://a:2379,b:2379'], /--store: several hosts must be IP addresses of one family/],
    [['--store', 'etcd://127.0.0.1:2379?ca=/ca'], /--store: ca, cert and key are given together/],
    [['--store', 'etcd://127.0.0.1:2379?user=me'], /--store: "user" is not known: ca, cert, key are/],
    [['--store', 'etcd://127.0.0.1:2379?ca=a&cert=/b&key=/c'], /--store: "a" is not an absolute path/],
    [['--store', 'etcd://127.0.0.1:2379/a//b'], /--store: the prefix "\/a\/\/b" is not made of/],
    [['--log-level', 'loud'], /--log-level must be one of trace, debug, info, warn, error, fatal/],
    [['--backup-dir', '/b'], /--backup-dir needs --backup-key-file, too/],
    [['--backup-key-file', '/k'], /--backup-key-file needs --backup-dir, too/],
    [['--backup-dir', 'b', '--backup-key-file', '/k'], /--backup-dir must be an absolute path/],
    [['--backup-interval', '1w'], /--backup-interval: "1w" is no time such as 30m, 12h or 7d/],
    [['--backup-interval', '0h'], /--backup-interval/],
    [['--backup-keep', '0'], /--backup-keep must be a whole number from 1/],
    [['--backup-keep', 'all'], /--backup-keep must be a whole number from 1/],
    [['--config', '/nowhere.yaml'], /--config \/nowhere.yaml: ENOENT/],
  ] as const) {
    t.throws(
      () => configOf([...argv]),
      { code: 'invalid-argument', message } as unknown as SwarmdError,
      argv.join(' '),
    );
  }
});

t.test('configuration › refuses settings that do not exist, in the file and on the command line', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'swarmd-config-')), 'swarmd.yaml');
  writeFileSync(file, 'data_dir: /x\n');
  t.throws(() => configOf(['--config', file]), { message: /no such setting: data_dir/ } as unknown as Error);
  t.match(readConfig(['--verbose'], {}, '1'), { exitCode: 2, text: /unknown option '--verbose'/ });
});

t.test('configuration › prints version and help without starting anything', async (t) => {
  t.same(readConfig(['--version'], {}, '1.2.3'), { text: 'swarmd 1.2.3', exitCode: 0 });
  t.match(readConfig(['--help'], {}, '1.2.3'), { text: /--advertise-addr/, exitCode: 0 });
});
