import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEtcd } from '@swarmd/etcd';
import { bootstrapCluster } from '@swarmd/manager';
import type { SwarmdError } from '@swarmd/model';
import { createIdentityHolder } from '@swarmd/wire';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { readConfig } from '../src/config.js';
import { openVault } from '../src/lock/secret-files.js';
import { managerFiles } from '../src/manager/manager-files.js';
import { createManagerSlot } from '../src/manager/manager-slot.js';
import { openEmbedded, openLevelHost } from '../src/manager/store-host.js';
import type { Member } from '../src/member-file.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
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

t.test('manager slot › what is left of the only copy of the state stays where it is', { skip }, async (t) => {
  const { dir, config, member, vault, identity } = await onlyManager(t);
  const { etcdData, dataKey } = managerFiles(dir);
  const wal = join(etcdData, 'member', 'wal');
  const path = join(wal, readdirSync(wal).find((name) => name.endsWith('.wal'))!);
  const bytes = readFileSync(path);
  for (let at = 3_000; at < 3_008; at++) bytes[at]! ^= 0xff;
  writeFileSync(path, bytes);
  const failed = new Promise<SwarmdError>((onStoreFailure) => {
    const slot = createManagerSlot({
      ...{ config, ports, version: '0', identity, member, vault, onStoreFailure },
      ...{ renewCertificate: () => {}, managers: () => [member.advertiseAddr] },
    });
    t.teardown(() => slot.stop());
    void slot.start();
  });
  t.match(await failed, { code: 'damaged', message: /crc mismatch.*no other manager/s });
  t.strictSame(readFileSync(path), bytes);
  t.ok(existsSync(dataKey), 'and the key that it is read with');
});
