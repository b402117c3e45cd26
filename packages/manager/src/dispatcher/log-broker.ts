import {
  type Clock,
  type Commit,
  idFromBytes,
  type LogRecord,
  type LogsOptions,
  type Random,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import type { PublishLogsRequest, PublishLogsResponse, LogRecord as WireRecord } from '@swarmd/wire';
import {
  createSubscription,
  type LogPart,
  type LogSelector,
  type LogSubscriptionState,
  mayHaveLogs,
  ownRecord,
  selectTasks,
} from './log-subscription.js';
import type { SessionRegistry } from './registry.js';

/** Subscriptions that may be open at a manager. */
const MAX_SUBSCRIPTIONS = 1_000;

/** Brings log lines from agents to readers. */
export interface LogBroker {
  /**
   * Subscribes to logs of tasks, or of a service's tasks. The records end by themselves unless `options.follow`; then
   * tasks that land later are added. Nodes and tasks whose logs cannot be had are named in records of stream 0. The
   * subscription ends with the signal, or when the reader returns. Throws `unavailable` when too many are open.
   */
  subscribe(selector: LogSelector, options: LogsOptions, signal: AbortSignal): AsyncIterable<LogRecord>;
  /** Takes what an agent sends for one subscription: the handler of `PublishLogs`. Ends when nobody reads any more. */
  publish(
    requests: AsyncIterable<PublishLogsRequest>,
    nodeId: string,
    stopReading: () => void,
  ): Promise<PublishLogsResponse>;
  nodeConnected(nodeId: string): void;
  nodeGone(nodeId: string): void;
  onCommit(commit: Commit): void;
  stop(): void;
}

/** What {@link createLogBroker} needs. */
export interface LogBrokerDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  registry: SessionRegistry;
}

/** A broker without subscriptions. Agents' streams wait while a reader is slow: nothing is dropped or piled up. */
export function createLogBroker({ store, clock, random, registry }: LogBrokerDependencies): LogBroker {
  const subscriptions = new Set<LogSubscriptionState>();
  const byWireId = new Map<string, LogSubscriptionState>();

  const tell = (
    subscription: LogSubscriptionState,
    text: string,
    about: { taskId?: string; nodeId?: string },
  ): void => {
    void subscription.queue.push(ownRecord(text, clock.now(), about));
  };
  const finishIfDone = (subscription: LogSubscriptionState): void => {
    if (!subscription.options.follow && subscription.parts.size === 0) subscription.queue.finish();
  };
  const close = (subscription: LogSubscriptionState): void => {
    subscriptions.delete(subscription);
    for (const { wireId, nodeId, stopReading } of subscription.parts.values()) {
      byWireId.delete(wireId);
      stopReading?.();
      registry.get(nodeId)?.stream.send({ $case: 'logUnsubscription', value: { id: wireId } });
    }
    subscription.parts.clear();
  };
  const endPart = (subscription: LogSubscriptionState, wireId: string): void => {
    byWireId.delete(wireId);
    if (subscription.parts.delete(wireId)) finishIfDone(subscription);
  };
  const ask = (
    subscription: LogSubscriptionState,
    nodeId: string,
    taskIds: readonly string[],
    again?: { options: LogsOptions; after: ReadonlyMap<string, string> },
  ): void => {
    const session = registry.get(nodeId);
    const part: LogPart = {
      wireId: idFromBytes(random.bytes(17)),
      nodeId,
      taskIds: new Set(taskIds),
      after: again?.after ?? new Map(),
    };
    if (session === undefined) {
      tell(subscription, `node ${nodeId} is not available`, { nodeId });
      if (subscription.options.follow) subscription.lost.push(part);
      return;
    }
    subscription.parts.set(part.wireId, part);
    byWireId.set(part.wireId, subscription);
    const options = Buffer.from(JSON.stringify(again?.options ?? subscription.options));
    session.stream.send({ $case: 'logSubscription', value: { id: part.wireId, taskIds: [...taskIds], options } });
  };
  const askFor = (
    subscription: LogSubscriptionState,
    tasks: readonly { ID: string; NodeID: string }[],
    options?: LogsOptions,
  ): void => {
    const byNode = new Map<string, string[]>();
    for (const { ID, NodeID } of tasks) {
      subscription.covered.add(ID);
      byNode.set(NodeID, [...(byNode.get(NodeID) ?? []), ID]);
    }
    const again = options === undefined ? undefined : { options, after: new Map<string, string>() };
    for (const [nodeId, taskIds] of byNode) ask(subscription, nodeId, taskIds, again);
  };
  const subscribe: LogBroker['subscribe'] = (selector, options, signal) => {
    if (subscriptions.size >= MAX_SUBSCRIPTIONS) throw new SwarmdError('unavailable', 'too many log readers');
    const onAbort = (): void => subscription.queue.close();
    const subscription = createSubscription(selector, options, () => {
      signal.removeEventListener('abort', onAbort);
      close(subscription);
    });
    subscriptions.add(subscription);
    const tasks = selectTasks(store.view, selector);
    for (const { ID, NodeID } of tasks) {
      if (NodeID === '' && !options.follow) tell(subscription, `task ${ID} has not been scheduled`, { taskId: ID });
    }
    askFor(subscription, tasks.filter(mayHaveLogs));
    finishIfDone(subscription);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    return subscription.queue;
  };
  const follow = (subscription: LogSubscriptionState, commit: Commit): void => {
    const landed = [];
    for (const event of commit.events) {
      if (event.table !== 'task' || event.kind === 'delete' || !mayHaveLogs(event.object)) continue;
      const { selector, covered } = subscription;
      const { ID, ServiceID } = event.object;
      const wanted = 'serviceId' in selector ? selector.serviceId === ServiceID : selector.taskId === ID;
      if (wanted && !covered.has(ID)) landed.push(event.object);
    }
    // All of a task that has only now come: its lines are newer than the reader's question.
    askFor(subscription, landed, { ...subscription.options, tail: -1 });
  };
  const lose = (subscription: LogSubscriptionState, part: LogPart): void => {
    byWireId.delete(part.wireId);
    if (!subscription.parts.delete(part.wireId)) return;
    part.stopReading?.();
    tell(subscription, `node ${part.nodeId} disconnected unexpectedly`, { nodeId: part.nodeId });
    if (subscription.options.follow) subscription.lost.push(part);
    finishIfDone(subscription);
  };
  const resume = (subscription: LogSubscriptionState, part: LogPart): void => {
    const taskIds = [...part.taskIds];
    const after = new Map(
      taskIds.flatMap((id) => (subscription.last.has(id) ? [[id, subscription.last.get(id)!] as const] : [])),
    );
    const times = [...after.values()].map((timestamp) => Date.parse(timestamp));
    const options = { ...subscription.options, tail: -1, ...(times.length > 0 ? { sinceMs: Math.min(...times) } : {}) };
    ask(subscription, part.nodeId, taskIds, { options, after });
  };
  const take = async (subscription: LogSubscriptionState, part: LogPart, record: WireRecord): Promise<boolean> => {
    const { taskId, serviceId, timestamp, data } = record;
    if (!part.taskIds.has(taskId)) return true;
    const after = part.after.get(taskId);
    if (after !== undefined && timestamp <= after) return true;
    subscription.last.set(taskId, timestamp);
    const stream = record.stream === 2 ? 2 : 1;
    return subscription.queue.push({ taskId, serviceId, nodeId: part.nodeId, stream, timestamp, data });
  };
  const takeAll: LogBroker['publish'] = async (requests, nodeId, stopReading) => {
    let wireId: string | undefined;
    try {
      for await (const request of requests) {
        wireId ??= request.subscriptionId;
        const subscription = byWireId.get(wireId);
        const part = subscription?.parts.get(wireId);
        if (subscription === undefined || part === undefined) return {};
        if (part.nodeId !== nodeId) {
          wireId = undefined;
          throw new SwarmdError('permission-denied', 'these logs were asked of another node');
        }
        part.stopReading = stopReading;
        for (const record of request.records) if (!(await take(subscription, part, record))) return {};
        if (request.error !== '') tell(subscription, request.error, { nodeId });
        if (!request.end) continue;
        endPart(subscription, wireId);
        return {};
      }
      return {};
    } catch (error) {
      if (wireId === undefined || byWireId.has(wireId)) throw error;
      // Nobody reads any more, and reading was stopped.
      return {};
    } finally {
      const subscription = wireId === undefined ? undefined : byWireId.get(wireId);
      const part = subscription?.parts.get(wireId!);
      if (subscription !== undefined && part !== undefined) lose(subscription, part);
    }
  };
  const partsOf = (nodeId: string): [LogSubscriptionState, LogPart][] =>
    [...subscriptions].flatMap((subscription) =>
      [...subscription.parts.values()]
        .filter((part) => part.nodeId === nodeId)
        .map((part) => [subscription, part] as [LogSubscriptionState, LogPart]),
    );
  return {
    subscribe,
    publish: takeAll,
    nodeConnected: (nodeId) => {
      for (const subscription of subscriptions) {
        const back = subscription.lost.filter((part) => part.nodeId === nodeId);
        subscription.lost = subscription.lost.filter((part) => part.nodeId !== nodeId);
        for (const part of back) resume(subscription, part);
      }
    },
    nodeGone: (nodeId) => {
      for (const [subscription, part] of partsOf(nodeId)) lose(subscription, part);
    },
    onCommit: (commit) => {
      for (const subscription of subscriptions) if (subscription.options.follow) follow(subscription, commit);
    },
    stop: () => {
      for (const subscription of [...subscriptions]) subscription.queue.close();
    },
  };
}
