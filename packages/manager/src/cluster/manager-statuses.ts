import { type Node, type SharedStore, VERSIONS, type WriteTx } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Attachments } from './attachments.js';

type ManagerStatus = NonNullable<Node['ManagerStatus']>;

/** What {@link startManagerStatuses} needs. */
export interface ManagerStatusDependencies {
  store: SharedStore;
  nodeId: string;
  /** Where this manager is reached: `host:port`. */
  addr: string;
  attachments: Attachments;
  logger: Logger;
}

/** A manager's status as it is to be stored, from what the leader sees; the same object when nothing changes. */
export function managerStatus(
  node: Node,
  leader: { nodeId: string; addr: string; stateFormat: number },
  attached: { addr: string; stateFormat: number } | undefined,
): Node {
  const { ManagerStatus: before, ...rest } = node;
  if (node.Spec.Role !== 'manager' || (before === undefined && node.ID !== leader.nodeId && attached === undefined)) {
    return before === undefined || node.Spec.Role === 'manager' ? node : (rest as Node);
  }
  const leads = node.ID === leader.nodeId;
  const seen = leads ? leader : attached;
  const StateFormat = seen?.stateFormat || before?.StateFormat;
  const after: ManagerStatus = {
    // What a newer manager keeps here stays.
    ...before,
    Leader: leads,
    Reachability: seen === undefined ? 'unreachable' : 'reachable',
    Addr: seen?.addr || (before?.Addr ?? ''),
    ...(StateFormat === undefined ? {} : { StateFormat }),
  };
  const same =
    before !== undefined &&
    (before.Leader ?? false) === after.Leader &&
    before.Reachability === after.Reachability &&
    before.Addr === after.Addr &&
    before.StateFormat === after.StateFormat;
  return same ? node : { ...rest, ManagerStatus: after };
}

/** Keeps the list of managers true while this one leads: who leads, who can be reached. Resolves once it is. */
export async function startManagerStatuses(deps: ManagerStatusDependencies): Promise<{ stop(): Promise<void> }> {
  const { store, nodeId, addr, attachments, logger } = deps;
  const self = { nodeId, addr, stateFormat: VERSIONS.stateFormat };
  const statusOf = (node: Node): Node => managerStatus(node, self, attachments.get(node.ID));
  let stopped = false;
  let writing: Promise<void> | undefined;
  let again = false;
  const write = (tx: WriteTx): void => {
    for (const node of [...tx.all('node')]) {
      const next = statusOf(node);
      if (next !== node) tx.put('node', next);
    }
  };
  const check = (): Promise<void> | undefined => {
    if (stopped) return undefined;
    if (writing !== undefined) {
      again = true;
      return undefined;
    }
    writing = store
      .update(write)
      .catch((error: unknown) => logger.warn({ err: error }, 'the list of managers was not brought up to date'))
      .finally(() => {
        writing = undefined;
        if (!again) return;
        again = false;
        void check();
      });
    return writing;
  };
  const unlisten = attachments.onChange(() => void check());
  const unwatch = store.watch(({ events }) => {
    const concerns = events.some(
      ({ table, object, kind }) => table === 'node' && kind !== 'delete' && statusOf(object) !== object,
    );
    if (concerns) void check();
  });
  await check();
  return {
    stop: async () => {
      stopped = true;
      unlisten();
      unwatch();
      await writing;
    },
  };
}
