import type { DataKeys } from '../lock/data-keys.js';
import type { NodePorts } from '../node-ports.js';
import type { JoinStoreOptions } from './ask-leader.js';
import type { EtcdHost } from './etcd-host.js';
import { askForVote, fetchKeys } from './join-store.js';
import { keepAsking } from './patience.js';
import { askToMove } from './readdress.js';
import { openEtcdHost, openLevelHost, type StoreHost, type StoreHostDependencies } from './store-host.js';

/** Opens the store of the only manager; told of an etcd that others run, it moves there before it is used. */
export async function openOnly(deps: StoreHostDependencies): Promise<StoreHost> {
  const host = await openLevelHost(deps);
  if (!host.isExternal) return host;
  try {
    await host.share();
    return host;
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** Tells the leader of this host's address before its etcd starts, if it has another one. Never rejects. */
export async function tellAddress(options: JoinStoreOptions & { ports: NodePorts }): Promise<void> {
  const { signal, ports } = options;
  await askToMove(options).catch((error: unknown) => {
    if (!signal.aborted) ports.logger.debug({ err: error }, 'the leader was not told of the new address');
  });
}

/**
 * Opens the store that several managers share and runs `use` on it, with all that this takes of the leader: another address
 * is told, keys are fetched, and a learner is given its vote. Waits for a quorum until `options.signal` is aborted.
 * `running`: this host's etcd, when it was started before and has its vote; it is stopped where this fails.
 */
export async function openShared<R>(
  options: JoinStoreOptions & { ports: NodePorts },
  deps: StoreHostDependencies,
  use: (host: StoreHost) => Promise<R>,
  running?: EtcdHost,
): Promise<R> {
  const { signal, ports } = options;
  const { clock, logger } = ports;
  if (running === undefined) await tellAddress(options);
  const lacksKeys = (dataKeys: DataKeys) => fetchKeys(options, dataKeys);
  const opening = openEtcdHost({ ...deps, lacksKeys }, signal, running ? { running } : {});
  // A learner serves nothing until it has its vote, which it is given once it has caught up. A voter has it already, and
  // must not wait until managers that are out of reach have said so.
  const over = new AbortController();
  const bounded = AbortSignal.any([signal, over.signal]);
  const promoting = keepAsking(
    async () => void (await askForVote({ ...options, signal: bounded })),
    clock,
    bounded,
    (error) => logger.debug({ err: error }, 'no vote was given'),
  );
  try {
    const host = await opening;
    over.abort();
    return await use(host);
  } finally {
    over.abort();
    await promoting;
  }
}
