import { type Clock, isStandby, type Node, type SharedStore } from '@swarmd/model';
import type { Logger } from 'pino';
import { type Loop, startLoop } from '../loop/loop.js';

/** A manager that was not reached for so long is lost, for the time being. */
export const LOST_MS = 5 * 60_000;
/** Managers are looked at this often, in milliseconds. */
const PERIOD_MS = 10_000;

/**
 * The lost manager that is to give up its vote, if any: one at a time, the one lost for longest, and only when the managers
 * that are left could then lose more than they can now. So one of three keeps its vote until another manager has come in
 * its place, and one of four does not. `unreachableMs`: for how long each unreachable manager has been so, by node ID.
 */
export function managerToReplace(
  managers: readonly Pick<Node, 'ID'>[],
  unreachableMs: ReadonlyMap<string, number>,
): string | undefined {
  const lost = managers
    .map(({ ID }) => ({ ID, ms: unreachableMs.get(ID) ?? 0 }))
    .filter(({ ms }) => ms >= LOST_MS)
    .sort((a, b) => b.ms - a.ms);
  const reachable = managers.filter(({ ID }) => !unreachableMs.has(ID)).length;
  const margin = (voters: number): number => reachable - (Math.floor(voters / 2) + 1);
  const now = margin(managers.length);
  // Without a quorum nobody can be removed, and with every step there has to be one.
  if (now < 0) return undefined;
  return lost.some((_, i) => margin(managers.length - i - 1) > now) ? lost[0]?.ID : undefined;
}

/** Makes workers of lost managers whose votes only stand in the way, while this manager leads. */
export function startLostManagers(deps: { store: SharedStore; clock: Clock; logger: Logger }): Loop {
  const { store, clock } = deps;
  const log = deps.logger.child({ component: 'lost-managers' });
  const since = new Map<string, number>();

  const look = async (): Promise<void> => {
    // A standby has no vote to give up.
    const managers = [...store.view.all('node')].filter((node) => node.Spec.Role === 'manager' && !isStandby(node));
    const unreachableMs = new Map<string, number>();
    for (const { ID, ManagerStatus } of managers) {
      if (ManagerStatus?.Reachability !== 'unreachable') since.delete(ID);
      else if (!since.has(ID)) since.set(ID, clock.monotonic());
      const start = since.get(ID);
      if (start !== undefined) unreachableMs.set(ID, clock.monotonic() - start);
    }
    for (const id of since.keys()) if (!unreachableMs.has(id)) since.delete(id);
    const id = managerToReplace(managers, unreachableMs);
    if (id === undefined) return;
    await store.update((tx) => {
      const node = tx.get('node', id);
      if (node?.Spec.Role !== 'manager' || node.ManagerStatus?.Reachability !== 'unreachable') return;
      tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'worker' } });
      log.warn(
        { node: id, lostMs: unreachableMs.get(id) },
        'a lost manager gives up its vote: it is a worker from now on',
      );
    });
  };
  return startLoop<'managers'>(
    {
      name: 'lost-managers',
      dirtiedBy: () => {},
      allKeys: () => ['managers'],
      pass: async (_keys, { wakeAfter }) => {
        wakeAfter('managers', PERIOD_MS);
        await look();
      },
    },
    deps,
  );
}
