import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bootstrapCluster } from '@swarmd/manager';
import { CLUSTER_KEY, type Store } from '@swarmd/model';
import { createUnlockKey, loadDataKeys, parseUnlockKey, type UnlockKey, type Vault } from '@swarmd/store';
import { readCertificate } from '@swarmd/wire';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { readConfig } from '../src/config.js';
import type { DataKeys } from '../src/lock/data-keys.js';
import { startLockLoop } from '../src/lock/lock-loop.js';
import { identityDir, keepIdentity, keptIdentity, nodeKeyWasClear, openVault } from '../src/lock/secret-files.js';
import { managerFiles } from '../src/manager/manager-files.js';
import { openEmbedded } from '../src/manager/store-host.js';
import { saveMember } from '../src/member-file.js';
import { createMembership, type DaemonMembership } from '../src/membership.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

t.setTimeout(180_000);
const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
const member = { listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1:2377', managers: ['127.0.0.1:2377'] };
const spec = { EncryptionConfig: { AutoLockManagers: true } };

function freshDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-lock-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The secrets and the open store of a manager; those of a new cluster, sealed with `key`, where there are none. */
async function open(dir: string, key?: UnlockKey): Promise<{ vault: Vault; dataKeys: DataKeys; store: Store }> {
  const vault = await openVault(dir, key);
  const { store, dataKeys } = await openEmbedded(dir, ports, { vault });
  if (store.view.get('cluster', CLUSTER_KEY) === undefined) {
    const lock = key === undefined ? {} : { spec, unlockKey: key.text };
    await keepIdentity(
      dir,
      vault,
      await bootstrapCluster(store, { ...ports, ...lock, advertiseAddr: member.advertiseAddr }),
    );
  }
  return { vault, dataKeys, store };
}

/** Resolves once `check` holds, which is asked after each of the loop's steps. */
async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; !(await check()); looks++) {
    if (looks > 2_000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const writer = fileURLToPath(new URL('./lock-writer.js', import.meta.url));

/** Runs the writer, kills it with SIGKILL at a random moment, and returns the keys it may be sealed with and what it wrote. */
async function changeAndKill(dir: string, key: string, first: number): Promise<{ keys: string[]; written: string[] }> {
  const child = spawn(process.execPath, [writer, dir, key, `${first}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [keys, written]: [string[], string[]] = [[key], []];
  const most = 3 + Math.floor(Math.random() * 60);
  for await (const line of createInterface(child.stdout)) {
    const [what, value] = line.split(' ') as [string, string];
    if (what === 'key') keys.push(value);
    else written.push(value);
    if (keys.length + written.length > most && keys.length > 1) child.kill('SIGKILL');
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
  return { keys: keys.slice(-2), written };
}

t.test('lock › after kill -9 at any moment of a change, the old or the new key opens everything', async (t) => {
  const dir = freshDir(t);
  const all: string[] = [];
  let key = '-';
  for (let round = 0; round < 15; round++) {
    const { keys, written } = await changeAndKill(dir, key, round * 100_000);
    all.push(...written);
    const opened: string[] = [];
    for (const candidate of keys) {
      const tried = openVault(dir, candidate === '-' ? undefined : parseUnlockKey(candidate));
      if (
        await tried.then(
          () => true,
          () => false,
        )
      )
        opened.push(candidate);
    }
    if (!t.ok(opened.length > 0, `round ${round}: one of the last two keys opens it`)) return;
    key = opened[0]!;
    const { store, vault } = await open(dir, key === '-' ? undefined : parseUnlockKey(key));
    t.same(
      all.filter((id) => store.view.get('config', id) === undefined),
      [],
      'acknowledged and missing',
    );
    t.ok(await keptIdentity(dir, vault), 'the identity is whole');
    await store.close();
  }
});

t.test(
  'lock › the cluster object decides how the secrets lie on the disk, whatever key they were opened with',
  async (t) => {
    const dir = freshDir(t);
    const first = await open(dir);
    const before = {
      node: (await keptIdentity(dir, first.vault))!.keyPem,
      data: (await loadDataKeys(managerFiles(dir).dataKey))![0],
    };
    let asked = 0;
    const start = ({ store, vault, dataKeys }: Awaited<ReturnType<typeof open>>) =>
      startLockLoop({
        ...{ store, vault, dataKeys, ...ports },
        nodeKeyWasClear: () => nodeKeyWasClear(dir),
        renewCertificate: () => asked++,
      });
    const loop = start(first);
    const one = createUnlockKey();
    const set = (store: Store, UnlockKey?: string) =>
      store.update((tx) => {
        const { UnlockKey: _, ...cluster } = tx.get('cluster', CLUSTER_KEY)!;
        tx.put('cluster', { ...cluster, ...(UnlockKey ? { UnlockKey } : {}) });
      });
    const settled = (key: string | undefined) => async (): Promise<boolean> => {
      const opening = key === undefined ? undefined : parseUnlockKey(key);
      const ring = await loadDataKeys(managerFiles(dir).dataKey, opening).catch(() => undefined);
      return ring?.length === 1 && (key === undefined || ring[0].madeUnder === opening!.id);
    };
    await set(first.store, one);
    await until('it is sealed, with a new data key', settled(one));
    await until('the renewal is asked for', async () => asked > 0);
    t.equal(asked, 1);
    const after = (await loadDataKeys(managerFiles(dir).dataKey, parseUnlockKey(one)))!;
    t.notSame(after[0].bytes, before.data.bytes, 'the data key that was in the clear is of no use any more');
    t.match(await readCertificate(identityDir(dir)), { renew: true, sealedKey: /BEGIN SWARMD SEALED SECRET/ });
    t.notMatch(readFileSync(join(identityDir(dir), 'node.pem'), 'utf8'), /PRIVATE KEY/);
    await keepIdentity(dir, first.vault, (await keptIdentity(dir, first.vault))!);
    t.notOk(await nodeKeyWasClear(dir), 'what a renewal saves was never in the clear');
    await loop.stop();

    // The unlock key changes while this manager does not look, as it does while one is down.
    const two = createUnlockKey();
    await set(first.store, two);
    await first.store.close();
    await t.rejects(
      openVault(dir, parseUnlockKey(two)),
      { code: 'locked' },
      'it opens with the key it was sealed with',
    );
    const again = await open(dir, parseUnlockKey(one));
    const next = start(again);
    await until('it is sealed with the new key', settled(two));
    await t.rejects(openVault(dir, parseUnlockKey(one)), { code: 'locked' });
    await set(again.store);
    await until('it is in the clear', settled(undefined));
    t.equal((await keptIdentity(dir, again.vault))!.keyPem, before.node);
    await next.stop();
    await again.store.close();
    await (await open(dir)).store.close();
  },
);

function membershipOf(t: Test, dir: string): DaemonMembership {
  const read = readConfig(['--data-dir', dir, '--engine', `unix://${dir}/no-engine.sock`], {}, '0');
  if (!('run' in read)) throw new Error(read.text);
  const onStoreFailure = (): void => {
    t.fail('no store fails here');
  };
  const config = { ...read.run, runDir: join(dir, 'run') };
  return createMembership({ config, ports, version: '0', onStoreFailure });
}

t.test('lock › a locked manager starts to nothing until it is unlocked with the right key', async (t) => {
  const dir = freshDir(t);
  const key = parseUnlockKey(createUnlockKey());
  await (await open(dir, key)).store.close();
  await saveMember(dir, member);
  const membership = membershipOf(t, dir);
  await membership.resume();
  const locked = { LocalNodeState: 'locked', NodeID: '', ControlAvailable: false, Error: /needs to be unlocked/ };
  t.match(membership.info(), locked);
  t.equal(membership.control(), undefined);
  await t.rejects(membership.unlock('nonsense'), { code: 'invalid-argument', message: 'invalid key string' });
  await t.rejects(membership.unlock(createUnlockKey()), {
    code: 'unauthenticated',
    message: 'swarm could not be unlocked: invalid key provided',
  });
  await t.rejects(membership.leave(false), { code: 'unavailable', message: /encrypted and locked/ });
  await t.rejects(membership.init({}), { code: 'unavailable', message: /in a cluster already/ });
  t.match(membership.info(), locked);
  await membership.unlock(key.text);
  t.match(membership.info(), { LocalNodeState: 'active', ControlAvailable: true, Error: '' });
  t.same(await membership.control()?.getUnlockKey(), { UnlockKey: key.text });
  await t.rejects(membership.unlock(key.text), { code: 'aborted', message: 'swarm is not locked' });
  await membership.stop();

  const next = membershipOf(t, dir);
  await next.resume();
  t.match(next.info(), locked, 'and is locked again when it starts again');
  await next.leave(true);
  t.equal(next.info().LocalNodeState, 'inactive');
  await t.rejects(next.unlock(key.text), { code: 'aborted' });
});
