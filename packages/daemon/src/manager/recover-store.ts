import { commitEtcdLog } from '@swarmd/etcd';
import { SwarmdError } from '@swarmd/model';
import { loadDriver, managerFiles } from './manager-files.js';
import { openEtcdHost, openLevelHost, type StoreHost, type StoreHostDependencies } from './store-host.js';

/** etcd starts with a copy of everything in its log: on a slow disk that takes a while. */
const OPEN_TIMEOUT_MS = 120_000;
const CLAIM_TIMEOUT_MS = 10_000;

/**
 * Makes this host's store the only one: everything in its log counts as acknowledged, all other members are out of it,
 * and their nodes are workers. Nothing of this manager may be running. May be repeated after a crash.
 */
export async function recoverStore(deps: StoreHostDependencies): Promise<void> {
  const host = await openAlone(deps);
  try {
    if (!host.store.leads) await claim(host, deps);
    await host.store.update((tx) => {
      for (const node of [...tx.all('node')]) {
        if (node.ID === deps.nodeId || node.Spec.Role !== 'manager') continue;
        const { ManagerStatus: _, ...rest } = node;
        tx.put('node', { ...rest, Spec: { ...node.Spec, Role: 'worker' } });
      }
    });
  } finally {
    await host.close();
  }
}

async function openAlone(deps: StoreHostDependencies): Promise<StoreHost> {
  const { dataDir } = deps.config;
  const driver = await loadDriver(dataDir);
  if (driver === 'external') {
    const advice = 'what it has lost is recovered by those who run it';
    throw new SwarmdError('failed-precondition', `the state is in an etcd that others run: ${advice}`);
  }
  if (driver !== 'etcd') return openLevelHost(deps);
  const saved = await commitEtcdLog(managerFiles(dataDir).etcdData);
  deps.ports.logger.warn({ saved }, 'making this manager the only one; entries declared acknowledged');
  const host = await openEtcdHost(deps, AbortSignal.timeout(OPEN_TIMEOUT_MS), { forceNewCluster: true });
  const members = await host.etcd!.members!.memberList(AbortSignal.timeout(CLAIM_TIMEOUT_MS));
  if (members.length === 1) return host;
  await host.close();
  throw new SwarmdError('internal', `etcd still has ${members.length} members after it was told to have one`);
}

/** A new term: whoever led before, and wakes up, can write nothing. */
async function claim({ store }: StoreHost, { nodeId, member }: StoreHostDependencies): Promise<void> {
  const self = { nodeId, addr: member.advertiseAddr };
  const signal = AbortSignal.timeout(CLAIM_TIMEOUT_MS);
  while (!(await store.claim(self, signal))) signal.throwIfAborted();
}
