import type { Clock, Commit, LogRecord, LogsOptions, Random, Store } from '@swarmd/model';
import { idFromBytes, SwarmdError } from '@swarmd/model';
import type { PublishLogsRequest, PublishLogsResponse, LogRecord as WireRecord } from '@swarmd/wire';
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
import type { SessionRegistry } from './registry.js';

/** Subscriptions that may be open at a manager. */
const MAX_SUBSCRIPTIONS = 1_000;

/** What a {@link LogBroker} needs. */
export interface LogBrokerDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  registry: SessionRegistry;
}

/**
 * Brings log lines from agents to readers. Agents' streams wait while a reader is slow: nothing is dropped or piled up.
 */
export class LogBroker {
  readonly #deps: LogBrokerDependencies;
  readonly #subscriptions = new Set<LogSubscriptionState>();
  readonly #byWireId = new Map<string, LogSubscriptionState>();

  constructor(deps: LogBrokerDependencies) {
    this.#deps = deps;
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

  /**
   * Takes what an agent sends for one subscription: the handler of `PublishLogs`. `stopReading` is called when nobody
   * reads any more. Rejects with `permission-denied` when another node was asked.
   */
  async publish(
    requests: AsyncIterable<PublishLogsRequest>,
    nodeId: string,
    stopReading: () => void,
  ): Promise<PublishLogsResponse> {
    let wireId: string | undefined;
    try {
      for await (const request of requests) {
        wireId ??= request.subscriptionId;
        const found = this.#find(wireId);
        if (found === undefined) return {};
        const { subscription, part } = found;
        if (part.nodeId !== nodeId) {
          wireId = undefined;
          throw new SwarmdError('permission-denied', 'these logs were asked of another node');
        }
        part.stopReading = stopReading;
        for (const record of request.records) if (!(await this.#take(subscription, part, record))) return {};
        if (request.error !== '') this.#tell(subscription, request.error, { nodeId });
        if (request.end) {
          this.#endPart(subscription, wireId);
          return {};
        }
      }
    } catch (error) {
      // Reading that was stopped because nobody reads any more throws too.
      if (wireId === undefined || this.#byWireId.has(wireId)) throw error;
    } finally {
      const unfinished = wireId === undefined ? undefined : this.#find(wireId);
      if (unfinished !== undefined) this.#lose(unfinished.subscription, unfinished.part);
    }
    return {};
  }

  /** A node has a session (again): it is asked for what was lost with its last one. */
  nodeConnected(nodeId: string): void {
    for (const subscription of this.#subscriptions) {
      const back = subscription.lost.filter((part) => part.nodeId === nodeId);
      subscription.lost = subscription.lost.filter((part) => part.nodeId !== nodeId);
      for (const part of back) this.#resume(subscription, part);
    }
  }

  /** A node's session has ended. */
  nodeGone(nodeId: string): void {
    for (const subscription of this.#subscriptions) {
      for (const part of [...subscription.parts.values()]) if (part.nodeId === nodeId) this.#lose(subscription, part);
    }
  }

  /** Readers that follow get the tasks that have come to run. */
  onCommit(commit: Commit): void {
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

  #find(wireId: string): { subscription: LogSubscriptionState; part: LogPart } | undefined {
    const subscription = this.#byWireId.get(wireId);
    const part = subscription?.parts.get(wireId);
    return subscription === undefined || part === undefined ? undefined : { subscription, part };
  }

  #tell(subscription: LogSubscriptionState, text: string, about: { taskId?: string; nodeId?: string }): void {
    void subscription.queue.push(ownRecord(text, this.#deps.clock.now(), about));
  }

  #askFor(
    subscription: LogSubscriptionState,
    tasks: readonly { ID: string; NodeID: string }[],
    options = subscription.options,
  ): void {
    const byNode = new Map<string, string[]>();
    for (const { ID, NodeID } of tasks) {
      subscription.covered.add(ID);
      byNode.set(NodeID, [...(byNode.get(NodeID) ?? []), ID]);
    }
    for (const [nodeId, taskIds] of byNode) this.#ask(subscription, { nodeId, taskIds, options, after: new Map() });
  }

  #ask(
    subscription: LogSubscriptionState,
    asked: { nodeId: string; taskIds: readonly string[]; options: LogsOptions; after: ReadonlyMap<string, string> },
  ): void {
    const { nodeId, taskIds, after } = asked;
    const session = this.#deps.registry.get(nodeId);
    const wireId = idFromBytes(this.#deps.random.bytes(17));
    const part: LogPart = { wireId, nodeId, taskIds: new Set(taskIds), after };
    if (session === undefined) {
      this.#tell(subscription, `node ${nodeId} is not available`, { nodeId });
      if (subscription.options.follow) subscription.lost.push(part);
      return;
    }
    subscription.parts.set(wireId, part);
    this.#byWireId.set(wireId, subscription);
    const options = Buffer.from(JSON.stringify(asked.options));
    session.stream.send({ $case: 'logSubscription', value: { id: wireId, taskIds: [...taskIds], options } });
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

  #resume(subscription: LogSubscriptionState, part: LogPart): void {
    const taskIds = [...part.taskIds];
    const after = new Map<string, string>();
    for (const id of taskIds) {
      const last = subscription.last.get(id);
      if (last !== undefined) after.set(id, last);
    }
    const times = [...after.values()].map((timestamp) => Date.parse(timestamp));
    // With a task among them of which nothing was had, all is asked for; what was had is left out when it comes.
    const since = after.size === taskIds.length ? { sinceMs: Math.min(...times) } : {};
    const options = after.size === 0 ? subscription.options : { ...subscription.options, tail: -1, ...since };
    this.#ask(subscription, { nodeId: part.nodeId, taskIds, options, after });
  }

  #lose(subscription: LogSubscriptionState, part: LogPart): void {
    this.#byWireId.delete(part.wireId);
    if (!subscription.parts.delete(part.wireId)) return;
    part.stopReading?.();
    this.#tell(subscription, `node ${part.nodeId} disconnected unexpectedly`, { nodeId: part.nodeId });
    if (subscription.options.follow) subscription.lost.push(part);
    this.#finishIfDone(subscription);
  }

  #endPart(subscription: LogSubscriptionState, wireId: string): void {
    this.#byWireId.delete(wireId);
    if (subscription.parts.delete(wireId)) this.#finishIfDone(subscription);
  }

  #finishIfDone(subscription: LogSubscriptionState): void {
    if (!subscription.options.follow && subscription.parts.size === 0) subscription.queue.finish();
  }

  #close(subscription: LogSubscriptionState): void {
    this.#subscriptions.delete(subscription);
    for (const { wireId, nodeId, stopReading } of subscription.parts.values()) {
      this.#byWireId.delete(wireId);
      stopReading?.();
      this.#deps.registry.get(nodeId)?.stream.send({ $case: 'logUnsubscription', value: { id: wireId } });
    }
    subscription.parts.clear();
  }
}
