import type { LeaderCalls, Loop } from '@swarmd/manager';
import type { Vault } from '@swarmd/store';
import type { StoreHost } from '../manager/store-host.js';
import type { NodePorts } from '../node-ports.js';
import { startKeyRotation } from './key-rotation.js';
import { startLockLoop } from './lock-loop.js';
import { nodeKeyWasClear } from './secret-files.js';

/** What {@link startManagerLock} needs. */
export interface ManagerLockDependencies {
  host: StoreHost;
  calls: LeaderCalls;
  nodeId: string;
  dataDir: string;
  vault: Vault;
  /** Asks for a certificate with a new key. */
  renewCertificate(): void;
  ports: NodePorts;
}

/** Starts what keeps a manager's secrets, and the key of the stored state, as the cluster object says. Stop them in order. */
export function startManagerLock(deps: ManagerLockDependencies): Loop[] {
  const { host, calls, nodeId, dataDir, vault, renewCertificate, ports } = deps;
  const shared = { store: host.store, vault, dataKeys: host.dataKeys, ...ports };
  const rotation = startKeyRotation({
    ...{ ...shared, nodeId, calls },
    log: () => host.etcd?.log,
    forgetReplaced: async () => host.etcd?.forgetHistory(),
    onForgotten: () => host.etcd?.maintenance?.purge(),
  });
  const lock = startLockLoop({
    ...{ ...shared, renewCertificate },
    nodeKeyWasClear: () => nodeKeyWasClear(dataDir),
    onSealed: () => rotation.resync(),
  });
  return [lock, rotation];
}
