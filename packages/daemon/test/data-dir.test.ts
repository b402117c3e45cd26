import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { lockDataDir } from '../src/data-dir-lock.js';
import { openEmbedded } from '../src/manager/store-host.js';
import { loadMember, removeMember, saveMember } from '../src/member-file.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

const freshDir = (): string => mkdtempSync(join(tmpdir(), 'swarmd-data-'));
const lockModule = new URL('../src/data-dir-lock.js', import.meta.url).pathname;

t.test('data directory › has one holder at a time, and is free once the holder is killed', async (t) => {
  const dir = freshDir();
  const script = `import(${JSON.stringify(lockModule)}).then((m) => m.lockDataDir(${JSON.stringify(dir)})).then(() => console.log('held')); setInterval(() => {}, 1000)`;
  const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  await t.rejects(lockDataDir(dir), { code: 'failed-precondition', message: /another swarmd is running/ });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = await lockDataDir(dir);
  await lock.release();
});

t.test('membership file › is kept, read back, forgotten, and never silently half read', async (t) => {
  const dir = freshDir();
  t.equal(await loadMember(dir), undefined);
  const member = { listenAddr: '0.0.0.0:2377', advertiseAddr: '10.0.0.1:2377', managers: ['10.0.0.1:2377'] };
  await saveMember(dir, member);
  t.same(await loadMember(dir), member);
  writeFileSync(join(dir, 'member.json'), '{"listenAddr": "0.0.');
  await t.rejects(loadMember(dir), { code: 'damaged', message: /member\.json cannot be read/ });
  await removeMember(dir);
  t.notOk(existsSync(join(dir, 'member.json')));
});

t.test('cluster store › without its data key is reported, and no new key is made', async (t) => {
  const dir = freshDir();
  const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
  const { store } = await openEmbedded(dir, ports);
  await store.close();
  const key = join(dir, 'manager', 'data.key');
  rmSync(key);
  await t.rejects(openEmbedded(dir, ports), { code: 'damaged', message: /data key .* is missing/ });
  t.notOk(existsSync(key));
});
