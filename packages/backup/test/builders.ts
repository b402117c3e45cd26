import type { AnyObject, Cluster, Secret } from '@swarmd/model';
import type { Snapshot } from '../src/content.js';
import { writeBackup } from '../src/write.js';

const stamp = { Version: { Index: 7 }, CreatedAt: '2026-01-01T00:00:00Z', UpdatedAt: '2026-01-01T00:00:00Z' };

/** A cluster object with all that a backup wants of one. */
export const cluster: Cluster = {
  ...stamp,
  ID: 'cluster',
  ClusterID: 'c1',
  Spec: { Name: 'default' },
  RootCA: { Certificate: 'root', Key: 'key' },
  JoinTokens: { Worker: 'w', Manager: 'm' },
  DefaultAddrPool: ['10.0.0.0/8'],
  SubnetSize: 24,
  DataPathPort: 4789,
  RemovedNodes: {},
};

/** A secret whose value does not compress to nothing. */
export function buildSecret(id: string, bytes: number): Secret {
  const data = Buffer.alloc(bytes);
  let state = bytes + 1;
  for (let i = 0; i < bytes; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    data[i] = state >> 8;
  }
  return { ...stamp, ID: id, Spec: { Name: id, Data: data.toString('base64') } };
}

/** The snapshot of a cluster with these secrets. */
export function snapshotOf(secrets: readonly AnyObject[]): Snapshot {
  return {
    clusterId: 'c1',
    index: 41,
    tables: [
      { table: 'cluster', objects: [cluster] },
      { table: 'secret', objects: secrets },
    ],
  };
}

/** The bytes of a backup of `snapshot`. */
export async function backupOf(snapshot: Snapshot, RecoveryKey: string): Promise<Buffer> {
  const options = { secret: { RecoveryKey }, snapshot: () => snapshot, nowMs: 0, swarmdVersion: '0.1.0' };
  const pieces: Uint8Array[] = [];
  for await (const piece of await writeBackup(options)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** A backup in pieces of `size` bytes. */
export async function* piecesOf(backup: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < backup.length; start += size) yield backup.subarray(start, start + size);
}
