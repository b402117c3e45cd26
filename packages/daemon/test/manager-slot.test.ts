import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEtcd } from '@swarmd/etcd';
import { bootstrapCluster } from '@swarmd/manager';
import type { SwarmdError } from '@swarmd/model';
import { createUnlockKey, parseUnlockKey } from '@swarmd/store';
import { createIdentityHolder } from '@swarmd/wire';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { readConfig } from '../src/config.js';
import { openVault } from '../src/lock/secret-files.js';
import { damagedDir, managerFiles, removeManager, setManagerAside } from '../src/manager/manager-files.js';
import { createManagerSlot, type ManagerSlot } from '../src/manager/manager-slot.js';
import { openEmbedded, openLevelHost } from '../src/manager/store-host.js';
import type { Member } from '../src/member-file.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
t.setTimeout(180_000);
const skip = await findEtcd(undefined).then(
  () => false as const,
  (error: Error) => error.message,
);

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The only manager of a cluster whose store is on etcd, not running. */
async function onlyManager(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-slot-'));
  const runDir = mkdtempSync('/dev/shm/swarmd-slot-');
  t.teardown(() => {
    for (const path of [dir, runDir]) rmSync(path, { recursive: true, force: true });
  });
  const read = readConfig(['--data-dir', dir, '--host', `unix://${runDir}/swarmd.sock`], {}, '0');
  if (!('run' in read)) throw new Error(read.text);
  const config = read.run;
  const addr = `127.0.0.1:${await freePort()}`;
  const member: Member = { listenAddr: addr, advertiseAddr: addr, managers: [addr] };
  const vault = await openVault(dir);
  const { store } = await openEmbedded(dir, ports, { vault });
  const identity = await bootstrapCluster(store, { ...ports, advertiseAddr: addr });
  await store.close();
  const { nodeId, clusterId } = identity;
  const never = (): void => {
    t.fail('the store is whole');
  };
  const host = await openLevelHost({
    ...{ config, ports, nodeId, clusterId, member, vault },
    ...{ onFailure: never, onGone: never },
  });
  await host.share();
  await host.close();
  return { dir, config, member, vault, identity: createIdentityHolder(identity) };
}

/** Damages the log of etcd such that etcd sees it. Returns where, and what is there now. */
function damage(dir: string): { path: string; bytes: Buffer } {
  const wal = join(managerFiles(dir).etcdData, 'member', 'wal');
  const path = join(wal, readdirSync(wal).find((name) => name.endsWith('.wal'))!);
  const bytes = readFileSync(path);
  for (let at = 3_000; at < 3_008; at++) bytes[at]! ^= 0xff;
  writeFileSync(path, bytes);
  return { path, bytes };
}

/** The slot of that manager; `managers` are those that it knows of. */
function slotOf(
  t: Test,
  { config, member, vault, identity }: Awaited<ReturnType<typeof onlyManager>>,
  managers: () => string[],
  logger = ports.logger,
  onRemoved = (): void => {},
): { slot: ManagerSlot; failed: Promise<SwarmdError> } {
  let fail = (_reason: SwarmdError): void => {};
  const failed = new Promise<SwarmdError>((resolve) => {
    fail = resolve;
  });
  const slot = createManagerSlot({
    ...{ config, ports: { ...ports, logger }, version: '0', identity, member, vault, managers },
    ...{
      renewCertificate: () => {},
      onReplaced: () => {},
      onRemoved,
      onStoreFailure: (reason) => fail(reason),
    },
  });
  t.teardown(() => slot.stop());
  return { slot, failed };
}

/** Resolves once `check` holds. */
async function until(what: string, check: () => boolean): Promise<void> {
  for (let looks = 0; !check(); looks++) {
    if (looks > 3_000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

t.test('manager slot › what is left of the only copy of the state stays where it is', { skip }, async (t) => {
  const only = await onlyManager(t);
  const { dir, member } = only;
  const { path, bytes } = damage(dir);
  const { slot, failed } = slotOf(t, only, () => [member.advertiseAddr]);
  void slot.start();
  t.match(await failed, { code: 'damaged', message: /crc mismatch.*no other manager/s });
  t.strictSame(readFileSync(path), bytes);
  t.ok(existsSync(managerFiles(dir).dataKey), 'and the key that it is read with');
});

t.test('manager slot › damaged data is kept aside until a manager serves here again', { skip }, async (t) => {
  const only = await onlyManager(t);
  const { dir, config, member, vault } = only;
  const whole = join(config.runDir, 'whole');
  cpSync(managerFiles(dir).directory, whole, { recursive: true });
  const { path, bytes } = damage(dir);
  // Nobody answers at the other address: this host is not let in again.
  const { slot } = slotOf(t, only, () => [member.advertiseAddr, '127.0.0.1:1']);
  await slot.start();
  const aside = path.replace(managerFiles(dir).directory, damagedDir(dir));
  await until('the data is set aside', () => existsSync(aside));
  t.strictSame(readFileSync(aside), bytes, 'as it was');
  t.notOk(existsSync(path));
  await until('it tries to become a manager again', () => slot.taken);
  await slot.stop();

  const key = parseUnlockKey(createUnlockKey());
  await vault.rekey(key);
  await t.rejects(openVault(dir), { code: 'locked' }, 'its keys are sealed as all others');
  t.equal((await openVault(dir, key)).key?.id, key.id);
  await vault.rekey(undefined);

  cpSync(whole, managerFiles(dir).directory, { recursive: true });
  await setManagerAside(dir, vault);
  t.strictSame(readFileSync(aside), bytes, 'what came later was had from the others');
  t.notOk(existsSync(managerFiles(dir).directory));

  cpSync(whole, managerFiles(dir).directory, { recursive: true });
  await slot.start();
  await slot.serving(AbortSignal.timeout(60_000));
  await until('what nothing needs any more is removed', () => !existsSync(damagedDir(dir)));
});

t.test(
  'manager slot › what fails after etcd on this host was over is the failure of its store',
  { skip },
  async (t) => {
    const only = await onlyManager(t);
    const { dir, member } = only;
    damage(dir);
    // The list of managers changes while the data is set aside.
    const { slot, failed } = slotOf(t, only, () =>
      existsSync(managerFiles(dir).directory) ? [member.advertiseAddr, '127.0.0.1:1'] : [member.advertiseAddr],
    );
    await slot.start();
    t.match(await failed, { code: 'damaged', message: /is missing/ });
  },
);

t.test('manager slot › one that is stopped while its etcd ends does not start again', { skip }, async (t) => {
  const only = await onlyManager(t);
  const { dir, member } = only;
  damage(dir);
  const stopped = new Promise<ManagerSlot>((resolve) => {
    const write = (line: string): void => {
      if (line.includes('no member of the store any more')) setImmediate(() => slot.stop().then(() => resolve(slot)));
    };
    const logger = pino({ level: 'warn' }, { write });
    const { slot } = slotOf(t, only, () => [member.advertiseAddr, '127.0.0.1:1'], logger);
    void slot.start();
  });
  const slot = await stopped;
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(slot.taken);
  t.ok(existsSync(damagedDir(dir)), 'what was under way is done');
});

t.test('manager slot › asks what it is when the others have removed this host', { skip }, async (t) => {
  const only = await onlyManager(t);
  const { dir, member } = only;
  mkdirSync(damagedDir(dir));
  const asked = new Promise<ManagerSlot>((resolve) => {
    const { slot } = slotOf(
      t,
      only,
      () => [member.advertiseAddr, '127.0.0.1:1'],
      ports.logger,
      () => resolve(slot),
    );
    // Before it has a quorum: then it is for another manager to say that this one is none.
    void slot.start().then(() => slot.questions.answers['recovery.replaced']?.({ managers: [] }));
  });
  const slot = await asked;
  t.notOk(slot.taken);
  t.notOk(existsSync(managerFiles(dir).directory), 'its part of the store is gone');
  t.ok(existsSync(damagedDir(dir)), 'what was set aside is not, until it is a worker or serves');
  await removeManager(dir);
  t.notOk(existsSync(damagedDir(dir)));
});
