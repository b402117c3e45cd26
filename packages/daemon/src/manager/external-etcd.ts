import { readFile } from 'node:fs/promises';
import {
  changedAt,
  createEtcdClient,
  deleteOp,
  type EtcdClient,
  type EtcdClientTls,
  etcdAdminOver,
  prefixEnd,
  probeLimits,
  putOp,
} from '@swarmd/etcd';
import { type ResealableSharedLog, SwarmdError } from '@swarmd/model';
import { openEtcdLog } from '@swarmd/store';
import { z } from 'zod';
import type { NodePorts } from '../node-ports.js';
import type { ExternalEtcdConfig } from '../store-url.js';
import type { EtcdHost } from './etcd-host.js';

/** Finding out what it takes, and who has it, may take this long. */
const OPEN_TIMEOUT_MS = 15_000;

/** Whose state lies under the prefix. `moving`: not yet all of it, the embedded store is the truth. */
const OwnerSchema = z.object({ clusterId: z.string(), moving: z.boolean() });
type Owner = z.infer<typeof OwnerSchema> & { revision: number };

/** An etcd that somebody else runs. Its members, its space and its health are its owner's. */
export interface ExternalEtcd extends EtcdHost {
  /**
   * Makes room for the state of this cluster: what an earlier move was cut off from is removed. `failed-precondition`
   * when there is anything else under the prefix.
   */
  prepare(): Promise<void>;
  /** Says that the state of the cluster is all there. Rejects with `failed-precondition` when it is another's. */
  settle(): Promise<void>;
  /** Removes the state of this cluster, and nothing of another one. */
  erase(): Promise<void>;
}

/** What {@link openExternalEtcd} needs. */
export interface ExternalEtcdOptions {
  store: ExternalEtcdConfig;
  ports: Pick<NodePorts, 'clock' | 'logger'>;
  clusterId: string;
}

/**
 * Connects to the etcd that `--store` names and finds out whether it will do. Rejects with `invalid-argument` for files
 * that cannot be read, `unavailable` when it does not answer, or as {@link probeLimits} does.
 */
export async function openExternalEtcd({ store, ports, clusterId }: ExternalEtcdOptions): Promise<ExternalEtcd> {
  const { endpoint, prefix } = store;
  const log = ports.logger.child({ component: 'external-etcd' });
  const tls = await readTls(store);
  const client = createEtcdClient({ endpoint, ...(tls === undefined ? {} : { tls }) });
  const ownerKey = `${prefix}owner`;
  try {
    const { version, txnOps, requestBytes } = await probe(client, endpoint);
    log.info({ endpoint, prefix, version, txnOps, requestBytes }, 'the store is in an etcd that others run');
  } catch (error) {
    client.close();
    throw error;
  }
  const owner = () => readOwner(client, ownerKey);
  let opened: ResealableSharedLog | undefined;
  return {
    members: undefined,
    process: undefined,
    leadsConsensus: () => false,
    maintain: () => {},
    maintenance: undefined,
    openLog: async (cipher) => {
      opened = await openEtcdLog({
        client,
        prefix,
        dataKey: cipher,
        clock: ports.clock,
        logger: ports.logger.child({ component: 'store' }),
      });
      return opened;
    },
    get log() {
      return opened;
    },
    // Its history is its owner's, as others may need it.
    forgetHistory: async () => {},
    prepare: async () => {
      const mine = await owner();
      if (mine?.clusterId === clusterId && mine.moving) await removeAll(client, prefix, ownerKey, mine);
      const taken = await takePrefix(client, prefix, ownerKey, clusterId);
      if (!taken) throw notEmpty(store, await owner());
    },
    settle: async () => {
      const mine = await owner();
      if (mine?.clusterId !== clusterId) throw notOurs(store, clusterId, mine);
      if (mine.moving) await putOwner(client, ownerKey, { clusterId, moving: false }, mine.revision);
    },
    erase: async () => {
      const mine = await owner();
      if (mine?.clusterId === clusterId) await removeAll(client, prefix, ownerKey, mine);
    },
    stop: async () => client.close(),
  };
}

/** Removes what a cluster that is no more had in the etcd that `--store` names, if it is told of one. Never rejects. */
export async function eraseExternal(
  { store }: { store: ExternalEtcdConfig | undefined },
  ports: ExternalEtcdOptions['ports'],
  clusterId: string,
): Promise<void> {
  if (store === undefined) return;
  try {
    const etcd = await openExternalEtcd({ store, ports, clusterId });
    await etcd.erase().finally(() => etcd.stop());
  } catch (error) {
    ports.logger.warn({ err: error, prefix: store.prefix }, 'the state of the cluster remains in etcd');
  }
}

async function probe(client: EtcdClient, endpoint: string): ReturnType<typeof probeLimits> {
  const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS);
  try {
    return await probeLimits(etcdAdminOver(client), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new SwarmdError('unavailable', `--store: etcd at ${endpoint} does not answer`, { cause: error });
  }
}

async function readTls({ tls }: ExternalEtcdConfig): Promise<EtcdClientTls | undefined> {
  if (tls === undefined) return undefined;
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file, 'utf8');
    } catch (cause) {
      const message = `--store: ${file} cannot be read: ${(cause as Error).message}`;
      throw new SwarmdError('invalid-argument', message, { field: 'store', cause });
    }
  };
  return { ca: await read(tls.caFile), certificate: await read(tls.certificateFile), key: await read(tls.keyFile) };
}

async function readOwner(client: EtcdClient, key: string): Promise<Owner | undefined> {
  const { kvs } = await client.range({ key: Buffer.from(key) });
  if (kvs[0] === undefined) return undefined;
  const { value, modRevision } = kvs[0];
  try {
    return { ...OwnerSchema.parse(JSON.parse(value.toString())), revision: modRevision };
  } catch (cause) {
    throw new SwarmdError('damaged', `the key ${key} in etcd is not as swarmd wrote it`, { cause });
  }
}

/** Writes the first key under the prefix, if there is none yet. */
async function takePrefix(client: EtcdClient, prefix: string, ownerKey: string, clusterId: string): Promise<boolean> {
  const found = await client.range({ key: Buffer.from(prefix), rangeEnd: prefixEnd(prefix), countOnly: true });
  if (found.count > 0) return false;
  const value = Buffer.from(JSON.stringify({ clusterId, moving: true }));
  return (await client.txn({ compare: [changedAt(ownerKey, 0)], success: [putOp(ownerKey, value)] })).succeeded;
}

async function putOwner(
  client: EtcdClient,
  key: string,
  owner: z.infer<typeof OwnerSchema>,
  revision: number,
): Promise<void> {
  const success = [putOp(key, Buffer.from(JSON.stringify(owner)))];
  await client.txn({ compare: [changedAt(key, revision)], success });
}

async function removeAll(client: EtcdClient, prefix: string, ownerKey: string, { revision }: Owner): Promise<void> {
  await client.txn({ compare: [changedAt(ownerKey, revision)], success: [deleteOp(prefix, prefixEnd(prefix))] });
}

function notEmpty({ endpoint, prefix }: ExternalEtcdConfig, owner: Owner | undefined): SwarmdError {
  const whose = owner === undefined ? 'keys that are not swarmd’s' : `the state of cluster ${owner.clusterId}`;
  const message = `--store: etcd at ${endpoint} has ${whose} under ${prefix}: name another prefix, or remove them first`;
  return new SwarmdError('failed-precondition', message, { field: 'store' });
}

function notOurs({ endpoint, prefix }: ExternalEtcdConfig, clusterId: string, owner: Owner | undefined): SwarmdError {
  const found = owner === undefined ? 'nothing' : `the state of cluster ${owner.clusterId}`;
  const message = `--store: etcd at ${endpoint} has ${found} under ${prefix}, not the state of this cluster, ${clusterId}`;
  return new SwarmdError('failed-precondition', message, { field: 'store' });
}
