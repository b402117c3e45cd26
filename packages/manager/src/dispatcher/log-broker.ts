import type { Clock, Commit, LogRecord, LogsOptions, Store, StoreEvent } from '@swarmd/model';
import { SwarmdError } from '@swarmd/model';
import type { LogRecord as WireRecord } from '@swarmd/wire';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import { createLogRelay, type LogRelay } from './log-relay.js';
import {
  createSubscription,
  type LogPart,
  type LogSelector,
  type LogSubscriptionState,
  mayHaveLogs,
  ownRecord,
  selects,
  selectTasks,
} from './log-subscription.js';
import type { LogAsk, LogSink, NodeLogs } from './node-logs.js';

/** Subscriptions that may be open at a manager. */
const MAX_SUBSCRIPTIONS = 1_000;
/** Nodes asked for in one call to another manager. */
const NODES_PER_CALL = 1_000;
/** A node at another manager that could not be had is asked again after this long, doubling to the maximum. */
const ASK_AGAIN_MS = { min: 500, max: 8_000 } as const;

/** What a {@link LogBroker} needs. */
export interface LogBrokerDependencies {
  store: Pick<Store, 'view'>;
  clock: Clock;
  managerId: string;
  nodeLogs: NodeLogs;
  /** Where nodes may be connected to other managers. */
  peers?: ManagerPeers;
}

/** What a part asks for: with other options than its subscription where only some of the lines are missing. */
type Asking = Omit<LogAsk, 'taskIds'> & { part: LogPart };

/**
 * Brings log lines from agents to readers, from whichever managers the agents are connected to. Agents' streams wait while
 * a reader is slow: nothing is dropped or piled up.
 */
export class LogBroker {
  readonly #deps: LogBrokerDependencies;
  readonly #relay: LogRelay | undefined;
  readonly #subscriptions = new Set<LogSubscriptionState>();

  constructor(deps: LogBrokerDependencies) {
    this.#deps = deps;
    this.#relay = deps.peers && createLogRelay({ peers: deps.peers, clock: deps.clock });
  }

  /**
   * Subscribes to logs of a task, or of a service's tasks. The records end by themselves unless `options.follow`; then
   * tasks that land later are added. Nodes and tasks whose logs cannot be had are named in records of stream 0. The
   * subscription ends with the signal, or when the reader returns. Throws `unavailable` when too many are open.
   */
  subscribe(selector: LogSelector, options: LogsOptions, signal: AbortSignal): AsyncIterable<LogRecord> {
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) throw new SwarmdError('unavailable', 'too many log readers');
    const onAbort = (): void => subscription.queue.close();
    const subscription = createSubscription(selector, options, () => {
      signal.removeEventListener('abort', onAbort);
      this.#close(subscription);
    });
    this.#subscriptions.add(subscription);
    const tasks = selectTasks(this.#deps.store.view, selector);
    for (const { ID, NodeID } of tasks) {
      if (NodeID === '' && !options.follow)
        this.#tell(subscription, `task ${ID} has not been scheduled`, { taskId: ID });
    }
    this.#askFor(subscription, tasks.filter(mayHaveLogs));
    this.#finishIfDone(subscription);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    return subscription.queue;
  }

  /** A node has a session (again), here or at another manager: it is asked for what was lost with its last one. */
  nodeConnected(nodeId: string): void {
    for (const subscription of this.#subscriptions) {
      // Whatever was asked in its last session is not answered any more, though that may not have been noticed yet.
      for (const part of [...subscription.parts]) if (part.nodeId === nodeId) this.#lose(subscription, part, true);
      const back = subscription.lost.filter((part) => part.nodeId === nodeId);
      subscription.lost = subscription.lost.filter((part) => part.nodeId !== nodeId);
      this.#ask(
        subscription,
        back.map((part) => resumption(subscription, part, 0)),
      );
    }
  }

  /** A node's session here has ended. */
  nodeGone(nodeId: string): void {
    this.#deps.nodeLogs.nodeGone(nodeId);
  }

  /** Readers that follow get the tasks that have come to run, and nodes that have come to other managers are asked there. */
  onCommit(commit: Commit): void {
    if (this.#subscriptions.size === 0) return;
    for (const event of commit.events) if (event.table === 'node') this.#onNode(event);
    for (const subscription of this.#subscriptions) {
      if (!subscription.options.follow) continue;
      const landed = [];
      for (const event of commit.events) {
        if (event.table !== 'task' || event.kind === 'delete' || !mayHaveLogs(event.object)) continue;
        if (selects(subscription.selector, event.object) && !subscription.covered.has(event.object.ID)) {
          landed.push(event.object);
        }
      }
      // All of a task that has only now come: its lines are newer than the reader's question.
      this.#askFor(subscription, landed, { ...subscription.options, tail: -1 });
    }
  }

  /** Ends every subscription. */
  stop(): void {
    for (const subscription of [...this.#subscriptions]) subscription.queue.close();
  }

  #onNode({ kind, object, previous }: StoreEvent & { table: 'node' }): void {
    if (kind !== 'update' || object.Session?.ID === previous?.Session?.ID) return;
    // One that comes here is asked once it was welcomed.
    if (object.Session?.Manager !== this.#deps.managerId) this.nodeConnected(object.ID);
  }

  #tell(subscription: LogSubscriptionState, text: string, about: { taskId?: string; nodeId?: string }): void {
    void subscription.queue.push(ownRecord(text, this.#deps.clock.now(), about));
  }

  #askFor(
    subscription: LogSubscriptionState,
    tasks: readonly { ID: string; NodeID: string }[],
    options = subscription.options,
  ): void {
    const byNode = new Map<string, Set<string>>();
    for (const { ID, NodeID } of tasks) {
      subscription.covered.add(ID);
      byNode.set(NodeID, (byNode.get(NodeID) ?? new Set()).add(ID));
    }
    const asking = [...byNode].map(([nodeId, taskIds]): Asking => {
      return { nodeId, options, part: { nodeId, taskIds, after: new Map(), attempt: 0 } };
    });
    this.#ask(subscription, asking);
  }

  #ask(subscription: LogSubscriptionState, asking: readonly Asking[]): void {
    const { nodeLogs, managerId, store } = this.#deps;
    const elsewhere = new Map<string, { ask: LogAsk; sink: LogSink; part: LogPart }[]>();
    // All of them first: one that is lost at once does not end a reader for whom others are still to be asked.
    for (const { part } of asking) subscription.parts.add(part);
    for (const { nodeId, options, part } of asking) {
      const [ask, sink] = [{ nodeId, options, taskIds: [...part.taskIds] }, this.#sink(subscription, part)];
      const cancel = nodeLogs.ask(ask, sink);
      const holder = store.view.get('node', nodeId)?.Session?.Manager;
      if (cancel !== undefined) part.cancel = cancel;
      else if (holder === undefined || holder === managerId) this.#lose(subscription, part, false);
      else elsewhere.set(holder, [...(elsewhere.get(holder) ?? []), { ask, sink, part }]);
    }
    for (const [holder, all] of elsewhere) {
      for (let at = 0; at < all.length; at += NODES_PER_CALL) {
        const some = all.slice(at, at + NODES_PER_CALL);
        const cancels = this.#relay?.ask(holder, some);
        for (const [i, { part }] of some.entries()) {
          if (cancels === undefined) this.#lose(subscription, part, false);
          else part.cancel = cancels[i]!;
        }
      }
    }
  }

  #sink(subscription: LogSubscriptionState, part: LogPart): LogSink {
    return {
      take: async (records) => {
        for (const record of records) if (!(await this.#take(subscription, part, record))) return false;
        return true;
      },
      tell: (error) => this.#tell(subscription, error, { nodeId: part.nodeId }),
      end: () => {
        if (subscription.parts.delete(part)) this.#finishIfDone(subscription);
      },
      lost: (asked) => this.#lose(subscription, part, asked),
    };
  }

  async #take(subscription: LogSubscriptionState, part: LogPart, record: WireRecord): Promise<boolean> {
    const { taskId, serviceId, timestamp, data } = record;
    if (!part.taskIds.has(taskId)) return true;
    const after = part.after.get(taskId);
    if (after !== undefined && timestamp <= after) return true;
    subscription.last.set(taskId, timestamp);
    const stream = record.stream === 2 ? 2 : 1;
    return subscription.queue.push({ taskId, serviceId, nodeId: part.nodeId, stream, timestamp, data });
  }

  #lose(subscription: LogSubscriptionState, part: LogPart, asked: boolean): void {
    if (!subscription.parts.delete(part)) return;
    part.cancel?.();
    const { nodeId } = part;
    if (asked) this.#tell(subscription, `node ${nodeId} disconnected unexpectedly`, { nodeId });
    else if (part.attempt === 0) this.#tell(subscription, `node ${nodeId} is not available`, { nodeId });
    if (subscription.options.follow) {
      subscription.lost.push(part);
      this.#askAgainLater(subscription, part, asked ? 0 : part.attempt);
    }
    this.#finishIfDone(subscription);
  }

  /** A node here says by itself that it is back; of one elsewhere only the way to its manager may have been lost. */
  #askAgainLater(subscription: LogSubscriptionState, part: LogPart, attempt: number): void {
    const { clock, store, managerId } = this.#deps;
    if (this.#relay === undefined) return;
    clock.after(Math.min(ASK_AGAIN_MS.max, ASK_AGAIN_MS.min * 2 ** attempt), () => {
      const holder = store.view.get('node', part.nodeId)?.Session?.Manager;
      if (holder === managerId || !this.#subscriptions.has(subscription)) return;
      const at = subscription.lost.indexOf(part);
      if (at < 0) return;
      subscription.lost.splice(at, 1);
      this.#ask(subscription, [resumption(subscription, part, attempt + 1)]);
    });
  }

  #finishIfDone(subscription: LogSubscriptionState): void {
    if (!subscription.options.follow && subscription.parts.size === 0) subscription.queue.finish();
  }

  #close(subscription: LogSubscriptionState): void {
    this.#subscriptions.delete(subscription);
    const parts = [...subscription.parts];
    subscription.parts.clear();
    for (const part of parts) part.cancel?.();
  }
}

/** Asks for the rest of a part that was lost. */
function resumption(subscription: LogSubscriptionState, part: LogPart, attempt: number): Asking {
  const { nodeId, taskIds } = part;
  const after = new Map<string, string>();
  for (const id of taskIds) {
    const last = subscription.last.get(id);
    if (last !== undefined) after.set(id, last);
  }
  const times = [...after.values()].map((timestamp) => Date.parse(timestamp));
  // With a task among them of which nothing was had, all is asked for; what was had is left out when it comes.
  const since = after.size === taskIds.size ? { sinceMs: Math.min(...times) } : {};
  const options = after.size === 0 ? subscription.options : { ...subscription.options, tail: -1, ...since };
  return { nodeId, options, part: { nodeId, taskIds, after, attempt } };
}
