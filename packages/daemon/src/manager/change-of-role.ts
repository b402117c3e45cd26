import { type ApiObject, type Control, isStandby, type Node, SwarmdError } from '@swarmd/model';
import type { NodeRuntime } from '../node-runtime.js';

/** How long a join waits for the manager, and a leaving manager for the others. */
const MANAGER_TIMEOUT_MS = 60_000;
const FRESH_TIMEOUT_MS = 5_000;
const LAST_MANAGER_LEAVES =
  'You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ';
const STANDBY_LEAVES =
  'You are attempting to leave the swarm on a standby. Demote the node first, or use `--force` and demote it afterwards. ';

/** Waits for the manager of a node that has just joined as one. Going on in the background is not a failure of the join. */
export async function becomeManager({ manager }: NodeRuntime): Promise<void> {
  try {
    await manager.serving(AbortSignal.timeout(MANAGER_TIMEOUT_MS));
  } catch (cause) {
    const message =
      'Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "docker info" command to see the current swarm status of your node.';
    throw new SwarmdError('unavailable', `${message} (${manager.problem})`, { cause });
  }
}

/**
 * What has to be so before a manager may leave: by force only, as in Docker Swarm, and then the others let it go first, so
 * that their quorum is one of those who stay. Resolves with whether it is surely the last one.
 */
export async function leaveManagers({ control, manager, nodeId }: NodeRuntime, force: boolean): Promise<boolean> {
  if (!force && manager.isStandby) throw new SwarmdError('unavailable', STANDBY_LEAVES);
  const nodes = await votingManagers(control);
  if (!force) throw new SwarmdError('unavailable', leavingManager(nodes.length));
  if (control === undefined) return false;
  if (nodes.length <= 1) {
    // Only the newest state says that there is surely nobody else.
    const isNewest = await manager.fresh(AbortSignal.timeout(FRESH_TIMEOUT_MS)).then(
      () => true,
      () => false,
    );
    return isNewest && (await votingManagers(control)).length <= 1;
  }
  try {
    const { Version, Spec } = (await control.getNode(nodeId)) as unknown as {
      Version: { Index: number };
      Spec: object;
    };
    await control.updateNode(nodeId, Version.Index, { ...Spec, Role: 'worker' });
    await manager.retired(AbortSignal.timeout(MANAGER_TIMEOUT_MS));
  } catch {
    // Forced: the others will see that this manager is gone.
  }
  return false;
}

async function votingManagers(control: Control | undefined): Promise<ApiObject[]> {
  const managers = (await control?.listNodes({ role: ['manager'] })) ?? [];
  return managers.filter((node) => !isStandby(node as ApiObject & Pick<Node, 'Spec'>));
}

function leavingManager(managers: number): string {
  if (managers <= 1) return LAST_MANAGER_LEAVES;
  const rest = managers - 1;
  const quorum = `Removing this node leaves ${rest} managers out of ${managers}.`;
  return `You are attempting to leave the swarm on a node that is participating as a manager. ${quorum} Demote the node first, or use \`--force\`, with which it is demoted as it leaves. `;
}
