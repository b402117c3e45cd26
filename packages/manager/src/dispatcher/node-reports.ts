import {
  type ForeignAttachment,
  isErrorCode,
  type Node,
  type NodeDescription,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import type { Logger } from 'pino';
import {
  describeNode,
  markAway,
  markDown,
  markReady,
  markUnknown,
  type NodeSession,
  type Registration,
  registerNode,
  remarkOnNode,
  reportAttachments,
} from './node-state.js';
import { type BatchResult, type StatusSubmission, writeStatuses } from './status-writer.js';

/**
 * What the manager that holds a node's session has the leader write. All of it can be said again without harm, and counts
 * only for the session it is about. Everything rejects with `not-leader` when surely nothing was written, and with
 * `unavailable` when nobody can tell.
 */
export interface NodeReports {
  /**
   * A node opens a session. Resolves with the node and the index at which that is written, never below `seenIndex`;
   * `undefined` when it is not a member. `failed-precondition` for a `seenIndex` that no history can have reached.
   */
  register(registration: Registration, seenIndex: number): Promise<{ node: Node; index: number } | undefined>;
  /** A node's host has changed. */
  describe(nodeId: string, description: NodeDescription): Promise<void>;
  /** Replaces what containers besides tasks a node has on the cluster's networks. */
  attach(nodeId: string, session: string, attachments: readonly ForeignAttachment[]): Promise<void>;
  /** A node is down. False when that was not to be written: it is known, or the node has registered again. */
  silent(nodeId: string, session: string | undefined, message: string): Promise<boolean>;
  /** A node stops on purpose and will be back within so long. */
  away(nodeId: string, session: string, backWithinMs: number): Promise<void>;
  /** Nobody knows how these nodes are. */
  lost(sessions: readonly NodeSession[], message: string): Promise<void>;
  /** These nodes are there: whoever said otherwise could not see them. */
  found(sessions: readonly NodeSession[]): Promise<void>;
  /** Statuses of tasks. What each batch came to, in the order given. */
  statuses(submissions: readonly StatusSubmission[]): Promise<BatchResult[]>;
  /** Another machine uses a node's identity. */
  duplicate(nodeId: string, message: string): Promise<void>;
}

/** The leader's own {@link NodeReports}: written into its store. Elsewhere each rejects as the store does. */
export function localReports({ store, logger }: { store: Store; logger: Logger }): NodeReports {
  const log = logger.child({ component: 'dispatcher' });
  return {
    register: async (registration, seenIndex) => {
      await catchUp(store, log, registration.nodeId, seenIndex);
      return store.update((tx) => {
        const node = registerNode(tx, registration);
        return node && { node, index: tx.index };
      });
    },
    describe: (nodeId, description) => store.update((tx) => void describeNode(tx, nodeId, description)),
    attach: (nodeId, session, attachments) => store.update((tx) => reportAttachments(tx, nodeId, session, attachments)),
    silent: (nodeId, session, message) => store.update((tx) => markDown(tx, nodeId, session, message)),
    away: (nodeId, session, ms) => store.update((tx) => markAway(tx, nodeId, session, ms)),
    lost: (sessions, message) => store.update((tx) => markUnknown(tx, sessions, message)),
    found: (sessions) => store.update((tx) => markReady(tx, sessions)),
    statuses: (submissions) => writeStatuses(store, submissions),
    duplicate: (nodeId, message) => store.update((tx) => remarkOnNode(tx, nodeId, message)),
  };
}

/**
 * Sees to it that the full set will not be older than what the node has seen, or it would refuse it ("No time travel").
 * The leader is the store's only writer and has all that was ever acknowledged, so that a node can be ahead of it for one
 * reason only: the store was put back from an older copy. History goes on from there, above all that nodes saw of the one
 * that is lost.
 */
async function catchUp(store: Store, log: Logger, nodeId: string, seenIndex: number): Promise<void> {
  const { index } = store;
  // Only members have a say; others are turned away by what follows.
  if (seenIndex <= index || store.view.get('node', nodeId) === undefined) return;
  try {
    await store.advance(seenIndex);
  } catch (cause) {
    if (!isErrorCode(cause, 'invalid-argument')) throw cause;
    const problem = `node ${nodeId} claims to have seen index ${seenIndex}, and this manager’s store is at ${index}`;
    const advice = 'no backup is as old as that; on the node, leave the cluster and join again';
    throw new SwarmdError('failed-precondition', `${problem}: ${advice}`, { cause });
  }
  log.warn(
    { nodeId, seenIndex, index },
    'a node has seen later states than the store: it was put back from an older copy, and nodes now follow that',
  );
}
