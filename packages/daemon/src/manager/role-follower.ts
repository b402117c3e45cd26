import { asSwarmdError, type SwarmdError } from '@swarmd/model';
import type { ClusterUpdate, Identity } from '@swarmd/wire';
import { asNodeRole } from '../node-role.js';
import type { ManagerSlot } from './manager-slot.js';

/** How long a demoted manager waits for the others to let it go; then it goes by itself. */
const RETIRE_TIMEOUT_MS = 30_000;

/** What {@link createRoleFollower} needs. */
export interface RoleFollowerDependencies {
  manager: Pick<ManagerSlot, 'taken' | 'start' | 'stop' | 'retired'>;
  /** The role that this node's certificate gives it. */
  role(): Identity['role'];
  /** Whether this host has, or may have, a part of the managers' store. */
  hasState(): Promise<boolean>;
  /** Removes what only a manager keeps. */
  clear(): Promise<void>;
  renewCertificate(): void;
  onStoreFailure(reason: SwarmdError): void;
}

/** Fills and empties the place of this node's manager, as the cluster says and as the certificate allows. */
export interface RoleFollower {
  /** The cluster has told what this node is. */
  told(update: Pick<ClusterUpdate, 'node' | 'renewCertificate'>): void;
  /** The certificate was renewed. */
  renewed(): void;
}

/** Follows the role of this node. */
export function createRoleFollower(deps: RoleFollowerDependencies): RoleFollower {
  const { manager } = deps;
  const takeUp = (): void => {
    if (deps.role() !== 'manager' || manager.taken) return;
    manager.start().catch((error: unknown) => deps.onStoreFailure(asSwarmdError(error)));
  };
  /** A manager that is demoted keeps its certificate until the others have let it go: they decide with its vote. */
  const change = async (role: string | undefined): Promise<void> => {
    if (role === 'worker') {
      // Nobody needs to let go one that was not let in yet.
      if (manager.taken && !(await deps.hasState())) await manager.stop();
      if (manager.taken) await manager.retired(AbortSignal.timeout(RETIRE_TIMEOUT_MS)).catch(() => manager.stop());
      await deps.clear();
    }
    deps.renewCertificate();
  };
  return {
    told: ({ node, renewCertificate }) => {
      const role = asNodeRole(node);
      if (renewCertificate) change(role).catch((error: unknown) => deps.onStoreFailure(asSwarmdError(error)));
      // Its certificate was a manager's all the time: it was demoted and promoted again before it heard of either, or the
      // others took it for lost.
      else if (role === 'manager') takeUp();
    },
    renewed: takeUp,
  };
}
