import type { Clock, Commit, Network, Store } from '@swarmd/model';
import type { SessionProbeServer } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { ManagerPeers } from '../../cluster/manager-peers.js';
import type { SessionStream } from '../session-stream.js';
import { aborted, askManagers, awaitEndpointsHandler } from './await-endpoints.js';
import { EndpointDirectory } from './directory.js';
import { type EndpointHub, SessionEndpoints } from './session-endpoints.js';
import { createSettling, type EndpointQuestion, SETTLE_MS } from './settling.js';
import { EndpointWaiters } from './waiters.js';

/** What {@link createEndpoints} needs. */
export interface EndpointsOptions {
  store: Pick<Store, 'view' | 'index' | 'waitFor'>;
  clock: Clock;
  /** This manager, by its node ID. */
  managerId: string;
  peers?: ManagerPeers;
  /** The agents of these nodes are to be told something. */
  wake(nodeIds: readonly string[]): void;
  logger: Logger;
}

/** So many of the nodes that were late are named in the log. */
const MAX_NAMED = 10;

/** Who is on which network, as one manager tells its agents, and what they have acknowledged of it. */
export interface Endpoints {
  /** The part of a session that is about endpoints. The session closes it. */
  open(about: { nodeId: string; stream: Pick<SessionStream, 'writable' | 'send'> }): SessionEndpoints;
  /** The networks that every node of the data path has: attachable ones and the ingress network. The same array as long as it holds the same. */
  everywhere(): readonly Network[];
  /** Takes in a commit of the store, before sessions are told of it. */
  onCommit(commit: Commit): void;
  /** Answers other managers. */
  readonly awaitEndpoints: SessionProbeServer['awaitEndpoints'];
  stop(): void;
}

/** {@link Endpoints} over the store, which is followed by `onCommit` from the first session on. */
export function createEndpoints({ store, clock, managerId, peers, wake, logger }: EndpointsOptions): Endpoints {
  const directory = new EndpointDirectory(store);
  const waiters = new EndpointWaiters();
  const holders = new Map<string, Set<SessionEndpoints>>();
  let everywhere: readonly Network[] | undefined;

  const here = async (question: EndpointQuestion, signal: AbortSignal): Promise<void> => {
    const sessions = new Set(question.networkIds.flatMap((id) => [...(holders.get(id) ?? [])]));
    const askedMs = clock.monotonic();
    let giveUp = (): void => {};
    const known = new Promise<void>((resolve) => {
      giveUp = waiters.wait(question, sessions, resolve);
    });
    await Promise.race([known, aborted(signal)]);
    giveUp();
    // Also when somebody hung up, or this manager stops: then nobody was late.
    if (!signal.aborted || clock.monotonic() - askedMs < SETTLE_MS) return;
    const networkIds = new Set(question.networkIds);
    const late = [...sessions].filter((session) => !session.knows(networkIds, question.index));
    if (late.length === 0) return;
    const nodeIds = late.slice(0, MAX_NAMED).map(({ nodeId }) => nodeId);
    const about = {
      index: question.index,
      networkIds: question.networkIds.slice(0, MAX_NAMED),
      late: late.length,
      nodeIds,
    };
    logger.info(about, 'nodes are late to learn who is on their networks: tasks go on without them');
  };
  const settling = createSettling({
    clock,
    index: () => store.index,
    ask: async (question, signal) => {
      const elsewhere = askManagers({ view: store.view, managerId, peers }, question, signal);
      await Promise.all([here(question, signal), elsewhere]);
    },
    told: ({ nodeId }) => wake([nodeId]),
  });
  const hub: EndpointHub = {
    hold: (networkId, session) => {
      const set = directory.open(networkId);
      const holding = holders.get(networkId) ?? new Set();
      holders.set(networkId, holding.add(session));
      return set;
    },
    held: (networkId, session) => waiters.held(networkId, session),
    release: (networkId, session) => {
      const holding = holders.get(networkId);
      holding?.delete(session);
      if (holding?.size === 0) {
        holders.delete(networkId);
        directory.close(networkId);
      }
      waiters.changed(session);
    },
    acknowledged: (session) => waiters.changed(session),
    settle: (...about) => settling.settle(...about),
  };
  return {
    open: (about) => new SessionEndpoints(about, store, hub),
    everywhere: () => {
      everywhere ??= [...store.view.all('network')].filter(isEverywhere);
      return everywhere;
    },
    onCommit: (commit) => {
      if (commit.events.some(({ table }) => table === 'network')) everywhere = undefined;
      const nodeIds = new Set<string>();
      for (const networkId of directory.onCommit(commit)) {
        for (const session of holders.get(networkId) ?? []) {
          session.touch(networkId);
          nodeIds.add(session.nodeId);
        }
      }
      if (nodeIds.size > 0) wake([...nodeIds]);
    },
    awaitEndpoints: awaitEndpointsHandler(store, clock, here),
    stop: () => settling.stop(),
  };
}

/** Whether every node of the data path has the network: containers may join it anywhere, or it leads to what is published. */
export function isEverywhere({ Spec, Allocation }: Network): boolean {
  return Allocation !== undefined && (Spec.Attachable === true || Spec.Ingress === true);
}
