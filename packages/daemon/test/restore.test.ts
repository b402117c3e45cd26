import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BACKUP_TABLES, createRecoveryKey } from '@swarmd/backup';
import { bootstrapCluster, createControl } from '@swarmd/manager';
import {
  type AnyObject,
  CLUSTER_KEY,
  type Control,
  type NodeDescription,
  type Store,
  SwarmdError,
  type TableName,
} from '@swarmd/model';
import { createMemoryLog, createUnlockKey, isSealed, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { openVault } from '../src/lock/secret-files.js';
import { managerDir, managerFiles } from '../src/manager/manager-files.js';
import { openEmbedded } from '../src/manager/store-host.js';
import { readForRestore, restoredUnlockKey, writeRestored } from '../src/restore.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
const secret = { RecoveryKey: createRecoveryKey() };
const description = buildNode('host-1').Description as NodeDescription;
const host = { advertiseAddr: '10.0.0.1:2377', description };

/** A cluster in memory with as many tasks, and its control. */
async function world(tasks: number): Promise<{ store: Store; control: Control }> {
  const store = await openStore({ log: createMemoryLog(), clock: ports.clock });
  await bootstrapCluster(store, { ...ports, advertiseAddr: host.advertiseAddr, description });
  await store.update((tx) => {
    const service = createService(tx, 'web', buildServiceSpec('web', tasks));
    for (let i = 0; i < tasks; i++) tx.create('task', buildTask(service, `task-${i}`, { Slot: i + 1 }));
    tx.create('request', { ID: 'r', Result: '1' });
  });
  const none = (): never => {
    throw new SwarmdError('unimplemented', 'not asked for here');
  };
  const logSource = { subscribe: none };
  const tokens = { rotateJoinToken: none };
  return { store, control: createControl({ ...ports, store, logSource, tokens, explain: none }) };
}

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-restore-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function objectsOf({ view }: Store, table: TableName): AnyObject[] {
  return [...view.all(table)].sort((a, b) => (a.ID < b.ID ? -1 : 1));
}

t.test('restore › a store holds what the backed-up one held, byte by byte, and goes on above its index', async (t) => {
  const { store, control } = await world(12_000);
  const pieces = await control.createBackup(secret);
  const [index, tables] = [store.index, new Map(BACKUP_TABLES.map((table) => [table, objectsOf(store, table)]))];
  // What is written while the backup is read is no part of it.
  await store.update((tx) => tx.create('config', { ID: 'late', Spec: { Name: 'late' } }));
  const restored = await readForRestore({ Secret: secret }, pieces, host, ports);
  t.equal(restored.report.Index, index);
  const dir = folder(t);
  await writeRestored(dir, ports, restored, await openVault(dir));
  const { store: opened } = await openEmbedded(dir, ports, { mustExist: true });
  t.teardown(() => opened.close());
  t.ok(opened.index > index + 1_000_000);
  for (const table of BACKUP_TABLES) {
    // The node of this host is told of anew.
    if (table === 'node') continue;
    t.equal(JSON.stringify(objectsOf(opened, table)), JSON.stringify(tables.get(table)), table);
  }
  t.equal(opened.view.count('request'), 0, 'answers to writes under way are not kept');
  t.equal(opened.view.get('node', restored.identity.nodeId)?.ManagerStatus?.Addr, host.advertiseAddr);
  await t.rejects(
    writeRestored(dir, ports, restored, await openVault(dir)),
    { code: 'failed-precondition' },
    'no store is written over',
  );
});

t.test('restore › nothing is written of a backup that is not whole', async (t) => {
  const { control } = await world(3_000);
  const whole: Uint8Array[] = [];
  for await (const piece of await control.createBackup(secret)) whole.push(piece);
  const dir = folder(t);
  async function* cut(): AsyncGenerator<Uint8Array> {
    yield* whole.slice(0, -1);
  }
  await t.rejects(readForRestore({ Secret: secret }, cut(), host, ports), { code: 'damaged', message: /cut off/ });
  t.notOk(existsSync(managerDir(dir)));
});

t.test('restore › of a cluster that locks its managers has no key on the disk in the clear', async (t) => {
  const { store, control } = await world(3);
  const UnlockKey = createUnlockKey();
  await store.update((tx) => tx.put('cluster', { ...tx.get('cluster', CLUSTER_KEY)!, UnlockKey }));
  const restored = await readForRestore({ Secret: secret }, await control.createBackup(secret), host, ports);
  const key = restoredUnlockKey(restored);
  t.equal(key?.text, UnlockKey);
  const dir = folder(t);
  const vault = await openVault(dir, key);
  await writeRestored(dir, ports, restored, vault);
  const { dataKey } = managerFiles(dir);
  t.ok(isSealed(readFileSync(dataKey, 'utf8')));
  await t.rejects(openVault(dir), { code: 'locked' });
  const { store: opened, dataKeys } = await openEmbedded(dir, ports, { mustExist: true, vault });
  t.equal(dataKeys.current.madeUnder, key?.id, 'so it need not be replaced either');
  t.equal(opened.view.count('task'), 3);
  await opened.close();
  const asNew = await readForRestore({ Secret: secret, AsNew: true }, await control.createBackup(secret), host, ports);
  t.equal(restoredUnlockKey(asNew), undefined, 'a new cluster is not locked');
});
