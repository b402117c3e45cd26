import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapCluster, dataKeyRotation, type LeaderCalls, type Loop } from '@swarmd/manager';
import {
  CLUSTER_KEY,
  type ClusterDataKey,
  type ResealableSharedLog,
  type SharedStore,
  SwarmdError,
} from '@swarmd/model';
import {
  createSharedMemory,
  createUnlockKey,
  dataKeyId,
  loadDataKeys,
  openSharedStore,
  parseUnlockKey,
  saveDataKeys,
  secretFile,
  type UnlockKey,
  Vault,
} from '@swarmd/store';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { DataKeys } from '../src/lock/data-keys.js';
import { keyHandlers } from '../src/lock/key-exchange.js';
import { followDataKey, startKeyRotation } from '../src/lock/key-rotation.js';
import { startLockLoop } from '../src/lock/lock-loop.js';
import { managerFiles } from '../src/manager/manager-files.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

t.setTimeout(120_000);
const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
const never = (): AbortSignal => new AbortController().signal;

/** A manager that runs: its store on the shared log, its keys on a disk of its own. */
interface Running {
  id: string;
  store: SharedStore;
  dataKeys: DataKeys;
  /** The keys on its disk: that opens with the unlock key that it is sealed with at the moment. */
  onDisk(): Promise<string[]>;
  lead(): Promise<void>;
  stop(): Promise<void>;
}

/** How the log of a manager differs from what it is. */
type Around = (log: ResealableSharedLog) => ResealableSharedLog;

/** Managers of one cluster whose log is in memory. */
class Managers {
  readonly #dir: string;
  readonly #memory = createSharedMemory();
  readonly running = new Map<string, Running>();

  constructor(t: Test) {
    this.#dir = mkdtempSync(join(tmpdir(), 'swarmd-keys-'));
    t.teardown(async () => {
      for (const manager of this.running.values()) await manager.stop();
      rmSync(this.#dir, { recursive: true, force: true });
    });
  }

  /** Managers that hold one key, the first of which leads a new cluster. */
  static async three(t: Test): Promise<{ managers: Managers; all: [Running, Running, Running] }> {
    const managers = new Managers(t);
    const a = await managers.start('a');
    await a.lead();
    await bootstrapCluster(a.store, { ...ports, advertiseAddr: '127.0.0.1:2377' });
    for (const id of ['b', 'c']) {
      const { path } = await managers.#disk(id);
      await saveDataKeys(path, a.dataKeys.ring, []);
    }
    const [b, c] = [await managers.start('b'), await managers.start('c')];
    for (const { ID } of [...a.store.view.all('node')]) await a.store.update((tx) => tx.delete('node', ID));
    for (const id of ['a', 'b', 'c']) await managers.#asManager(a.store, id);
    await until('the key in use is named', () => keyOf(a.store) !== undefined);
    return { managers, all: [a, b, c] };
  }

  async start(id: string, key?: UnlockKey, around: Around = (log) => log): Promise<Running> {
    const { path } = await this.#disk(id);
    const vault = await Vault.open([secretFile(path)], key);
    const dataKeys = await DataKeys.open({ path, vault, ...ports });
    const log = this.#memory.open();
    const store = await openSharedStore({ log, ...ports });
    followDataKey(store, dataKeys);
    const deps = { store, vault, dataKeys, ...ports };
    const calls: LeaderCalls = { call: (method, args) => this.#call(store, method, args) };
    const rotation = startKeyRotation({
      ...{ ...deps, nodeId: id, calls, log: () => around(log) },
      forgetReplaced: async () => {},
    });
    const lock = startLockLoop({
      ...{ ...deps, nodeKeyWasClear: async () => false, renewCertificate: () => {} },
      onSealed: () => rotation.resync(),
    });
    const manager: Running = {
      ...{ id, store, dataKeys },
      onDisk: async () => (await loadDataKeys(path, vault.key))!.map(({ bytes }) => dataKeyId(bytes)),
      lead: async () => void (await store.claim({ nodeId: id, addr: id }, never())),
      stop: async () => {
        this.running.delete(id);
        for (const loop of [lock, rotation] as Loop[]) await loop.stop();
        await store.close();
      },
    };
    this.running.set(id, manager);
    return manager;
  }

  /** As between managers: what is asked and answered is JSON. */
  async #call(store: SharedStore, method: string, args: unknown): Promise<unknown> {
    const leader = [...this.running.values()].find(({ id, store: { leads } }) => leads && id === store.leader?.nodeId);
    if (leader === undefined) throw new SwarmdError('not-leader', 'nobody leads');
    const answer = await keyHandlers(leader)[method]!(JSON.parse(JSON.stringify(args)), { requestId: undefined });
    return JSON.parse(JSON.stringify(answer));
  }

  async #asManager(store: SharedStore, ID: string): Promise<void> {
    await store.update((tx) =>
      tx.create('node', {
        ID,
        Spec: { Role: 'manager', Availability: 'active' },
        Status: { State: 'ready', Addr: '' },
        ManagerStatus: { Reachability: 'reachable', Addr: ID },
      }),
    );
  }

  async #disk(id: string): Promise<{ path: string }> {
    const { directory, dataKey } = managerFiles(join(this.#dir, id));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return { path: dataKey };
  }
}

function keyOf({ view }: SharedStore): ClusterDataKey | undefined {
  return view.get('cluster', CLUSTER_KEY)?.DataKey;
}

/** Locks the managers with a new key. */
async function lock(store: SharedStore): Promise<UnlockKey> {
  const UnlockKey = createUnlockKey();
  await store.update((tx) => tx.put('cluster', { ...tx.get('cluster', CLUSTER_KEY)!, UnlockKey }));
  return parseUnlockKey(UnlockKey);
}

async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  for (let looks = 0; !(await check()); looks++) {
    if (looks > 2_000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Whether a key other than `old` seals, nothing is under way, and it is the only one that these managers hold. */
function settled(old: string | undefined, managers: Running[]): () => Promise<boolean> {
  return async () => {
    for (const { store, dataKeys, onDisk } of managers) {
      const key = keyOf(store);
      if (key === undefined || key.ID === old || Object.keys(key).length > 1) return false;
      if (dataKeys.cipher.keyIds.join() !== key.ID || (await onDisk()).join() !== key.ID) return false;
    }
    return true;
  };
}

t.test('data key › locking managers gives all of them a new one, and the old one is gone everywhere', async (t) => {
  const { all } = await Managers.three(t);
  const [a] = all;
  const old = keyOf(a.store)?.ID;
  t.equal(old, dataKeyId(a.dataKeys.current.bytes));
  const unlockKey = await lock(a.store);
  await until('all have the new key alone', settled(old, all));
  t.ok(all.every(({ dataKeys }) => dataKeys.current.madeUnder === unlockKey.id));
  t.equal(dataKeyRotation(a.store.view), undefined);
  const second = keyOf(a.store)?.ID;
  await lock(a.store);
  await until('another unlock key replaces it again', settled(second, all));
});

t.test('data key › a manager that is down is waited for by name, and takes part when it is back', async (t) => {
  const { managers, all } = await Managers.three(t);
  const [a, b, c] = all;
  const old = keyOf(a.store)?.ID;
  await c.stop();
  await lock(a.store);
  const waits = (store: SharedStore) =>
    dataKeyRotation(store.view)
      ?.WaitingFor.map(({ NodeID }) => NodeID)
      .join();
  await until('only c is waited for', () => waits(b.store) === 'c');
  t.match(dataKeyRotation(b.store.view), { State: 'waiting', Since: /^20.*Z$/ });
  t.equal(a.dataKeys.cipher.keyId, old, 'nothing is sealed with it yet');
  t.equal((await b.onDisk()).length, 2);
  const back = await managers.start('c');
  await until('all have the new key alone', settled(old, [a, b, back]));
});

t.test('data key › who is demoted is waited for no more, and is given no key', async (t) => {
  const { managers, all } = await Managers.three(t);
  const [a, b, c] = all;
  const old = keyOf(a.store)?.ID;
  await c.stop();
  await lock(a.store);
  await until('b has it', () => keyOf(a.store)?.Next?.HeldBy.join() === 'a,b');
  await a.store.update((tx) => {
    const node = tx.get('node', 'c')!;
    tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'worker' } });
  });
  await until('it is done without c', settled(old, [a, b]));
  const demoted = await managers.start('c');
  await t.rejects((async () => keyHandlers(a)['keys.sync']!({ nodeId: 'c', holds: [] }, { requestId: undefined }))(), {
    code: 'permission-denied',
  });
  t.strictSame(demoted.dataKeys.ids, [old]);
});

t.test('data key › another leader goes on wherever it finds a rotation', async (t) => {
  const { managers, all } = await Managers.three(t);
  const [a, b, c] = all;
  const old = keyOf(a.store)?.ID;
  await c.stop();
  const unlockKey = await lock(a.store);
  await until('b has it', () => keyOf(a.store)?.Next?.HeldBy.join() === 'a,b');
  const announced = keyOf(a.store)?.Next?.ID;

  // From here on whoever leads does not get to the end of sealing anew.
  await b.stop();
  const stuck: Around = (log) => ({
    ...log,
    reseal: (signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  });
  const slow = await managers.start('b', unlockKey, stuck);
  await slow.lead();
  await a.stop();
  const [third, first] = [await managers.start('c'), await managers.start('a', unlockKey)];
  await until('it is sealed anew', () => keyOf(slow.store)?.Resealing === true);
  t.strictSame(keyOf(slow.store), { ID: announced, Resealing: true }, 'with the key that the first leader made');
  await until('all know', () => [third, first].every(({ store }) => keyOf(store)?.Resealing === true));
  t.equal((await third.onDisk()).length, 2, 'the old key is held until it is done');
  await slow.stop();
  await third.lead();
  await until('the next leader finishes', settled(old, [third, first]));
  t.equal(keyOf(third.store)?.ID, announced);
  const back = await managers.start('b', unlockKey);
  await until('who comes back later forgets the old key, too', settled(old, [back]));
});

t.test('data key › a leader that does not hold what was announced announces another', async (t) => {
  const { managers, all } = await Managers.three(t);
  const [a, b, c] = all;
  const old = keyOf(a.store)?.ID;
  await Promise.all([b.stop(), c.stop()]);
  await lock(a.store);
  await until('it is announced', () => keyOf(a.store)?.Next !== undefined);
  const lost = keyOf(a.store)?.Next?.ID;
  const second = await managers.start('b', undefined);
  await a.stop();
  const third = await managers.start('c', undefined);
  await second.lead();
  await until('another is announced', () => ![undefined, lost].includes(keyOf(second.store)?.Next?.ID));
  const unlockKey = parseUnlockKey(second.store.view.get('cluster', CLUSTER_KEY)!.UnlockKey!);
  const first = await managers.start('a', unlockKey);
  await until('all have one key', settled(old, [first, second, third]));
  t.not(keyOf(second.store)?.ID, lost);
});

t.test('data key › a key that waits is replaced when the unlock key changes once more', async (t) => {
  const { managers, all } = await Managers.three(t);
  const [a, b, c] = all;
  await c.stop();
  await lock(a.store);
  await until('b has it', () => keyOf(a.store)?.Next?.HeldBy.length === 2);
  const first = keyOf(a.store)?.Next?.ID;
  const unlockKey = await lock(a.store);
  await until('another waits', () => {
    const next = keyOf(a.store)?.Next;
    return next?.ID !== first && next?.HeldBy.length === 2;
  });
  const back = await managers.start('c');
  await until('all have it', settled(first, [a, b, back]));
  t.equal(back.dataKeys.current.madeUnder, unlockKey.id);
});

t.test('data key › what a cluster object of another store names is put right', async (t) => {
  const { all } = await Managers.three(t);
  const [a] = all;
  const own = keyOf(a.store)?.ID;
  await a.store.update((tx) => {
    const DataKey = { ID: '00000000', Next: { ID: '00000001', Since: '', HeldBy: [] } };
    tx.put('cluster', { ...tx.get('cluster', CLUSTER_KEY)!, DataKey });
  });
  await until('the key in use is named', () => keyOf(a.store)?.ID === own);
  await until('nothing else is under way', settled('00000000', all));
});
