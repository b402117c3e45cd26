import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryLog, createSharedMemory, openStore } from '@swarmd/store';
import { buildNode } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { driverFlip } from '../src/manager/driver-flip.js';
import { loadDriver, managerFiles, type StoreDriver, saveDriver } from '../src/manager/manager-files.js';
import { systemClock } from '../src/system-ports.js';

/** The data directory of a manager on the embedded log. */
function onLevel(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-flip-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(managerFiles(dir).level, { recursive: true });
  return dir;
}

const idle = { close: () => Promise.reject(new Error('nothing is to be closed')) };
const diskFails = (): Promise<never> => Promise.reject(new Error('the disk fails'));

t.test('driver › is the new one once the move is done', async (t) => {
  const dir = onLevel(t);
  const flip = driverFlip(dir, 'etcd', idle, () => t.fail('nothing fails'));
  await flip.run();
  t.equal(await loadDriver(dir), 'etcd');
  t.notOk(flip.isUnsure);
});

t.test('driver › one that was written but not synced is written back', async (t) => {
  const dir = onLevel(t);
  const save = async (to: string, driver: StoreDriver): Promise<void> => {
    await saveDriver(to, driver);
    if (driver === 'etcd') await diskFails();
  };
  const flip = driverFlip(dir, 'etcd', idle, () => t.fail('it is known where the store is'), save);
  await t.rejects(flip.run(), { message: 'the disk fails' });
  t.equal(await loadDriver(dir), 'level');
  t.notOk(flip.isUnsure);
});

t.test('driver › when it cannot be written back nothing more is written, and nothing removed', async (t) => {
  const dir = onLevel(t);
  const failures: string[] = [];
  const store = await openStore({ log: createMemoryLog(), clock: systemClock() });
  const save = async (to: string, driver: StoreDriver): Promise<void> => {
    if (driver === 'etcd') await saveDriver(to, driver);
    await diskFails();
  };
  const flip = driverFlip(dir, 'etcd', store, ({ message }) => failures.push(message), save);
  const moving = store.moveTo(createSharedMemory().open(), async (index) => {
    await flip.run();
    return { index, leader: { nodeId: 'me', addr: 'me:1', term: 1 } };
  });
  const written = store.update((tx) => tx.create('node', buildNode('n')));
  await t.rejects(moving, { message: 'the disk fails' });
  await t.rejects(written, { code: 'unavailable', message: /closed/ }, 'what waited for the move is refused');
  await store.close();
  t.match(failures, [/which log the store is on/]);
  t.ok(flip.isUnsure);
});
