import { CLUSTER_KEY, type NodeDataPath, type ReadView, type Store } from '@swarmd/model';
import type { Peer } from '@swarmd/wire';
import { assignmentMessages } from './assignment-messages.js';
import { type AssignmentSet, assignmentSet, diffAssignments } from './assignments.js';
import { type ClusterFacts, clusterFacts, clusterUpdate } from './cluster-update.js';
import type { DispatcherContext } from './context.js';
import type { Endpoints } from './endpoints/endpoints.js';
import type { SessionStream } from './session-stream.js';

/** One registered agent: what it was told, and how it is brought up to date. */
export interface AgentSession {
  readonly sessionId: string;
  readonly nodeId: string;
  readonly bootNonce: string;
  readonly addr: string;
  readonly peer: Peer;
  readonly stream: SessionStream;
  /** Of the agent's program. */
  readonly swarmdVersion: string;
  /** How its node takes part in overlays; `undefined` when it does not. */
  readonly dataPath: NodeDataPath | undefined;
  /** How far its wall clock is ahead of this manager's, in milliseconds, by its last heartbeat. */
  clockAheadMs: number | undefined;
  /** Whether the agent was sent the thing with this key (see `itemKey`). */
  holds(key: string): boolean;
  /** Whether the agent was welcomed: what is sent before that, it does not expect. */
  readonly begun: boolean;
  /** Sends the first full set and what there is to know of the cluster; updates follow only after this. */
  begin(): void;
  /**
   * Brings the agent up to date with the store: sends what differs from what it was last told, in what it was last
   * told. When it does not read, nothing is computed or kept: the difference is taken once it has caught up.
   */
  update(): void;
  /** The same for nothing but who is on the networks that the agent was told to have. */
  updateEndpoints(): void;
  /** The agent has applied what it was told of its networks up to this store index. */
  endpointsApplied(index: number): void;
  /** The stream has closed: what others keep for this session goes. */
  close(): void;
  /** Calls `listener` at the next message of this agent, or when its stream closes, with whether it still lives. */
  onNextSign(listener: (alive: boolean) => void): () => void;
  /** The agent sent something (`true`) or its stream has closed (`false`). */
  sign(alive: boolean): void;
}

const NOTHING: AssignmentSet = new Map();

/** An {@link AgentSession} over a stream. What `peers` gives is the same object as long as it holds the same. */
export function createAgentSession(
  about: Pick<
    AgentSession,
    'sessionId' | 'nodeId' | 'bootNonce' | 'addr' | 'peer' | 'stream' | 'swarmdVersion' | 'dataPath'
  >,
  store: Pick<Store, 'view' | 'index'>,
  peers: Pick<DispatcherContext, 'managers' | 'dataPaths'>,
  networks: Pick<Endpoints, 'open' | 'everywhere'>,
): AgentSession {
  const { nodeId, stream } = about;
  const endpoints = about.dataPath === undefined ? undefined : networks.open({ nodeId, stream });
  const listeners = new Set<(alive: boolean) => void>();
  let begun = false;
  let sequence = 0;
  let sent = NOTHING;
  const updateCluster = clusterTeller(about, peers);
  const updateAssignments = (view: ReadView): void => {
    const next = assignmentSet(view, nodeId, endpoints === undefined ? [] : networks.everywhere());
    const diff = diffAssignments(sent, next);
    const kind = sequence === 0 ? 'complete' : 'incremental';
    // What the agent need not be told is taken over all the same, so that old objects can be freed.
    sent = next;
    if (kind === 'incremental' && diff.put.length === 0 && diff.remove.length === 0) return;
    const step = { kind, appliesTo: sequence, resultsIn: sequence + 1, storeIndex: store.index } as const;
    sequence += 1;
    for (const value of assignmentMessages(diff, step)) stream.send({ $case: 'assignments', value });
    endpoints?.assigned(diff, view);
  };
  const holds = (key: string): boolean => sent.has(key);
  // After the networks themselves, without which agents ignore it. Tasks may come before: agents start and stop them only
  // once what they need of it has settled.
  const updateEndpoints = (): void => {
    if (begun && stream.writable) endpoints?.update(holds);
  };
  const update = (): void => {
    if (!begun || !stream.writable) return;
    const view = store.view;
    updateCluster(view);
    updateAssignments(view);
    updateEndpoints();
  };
  return {
    ...about,
    clockAheadMs: undefined,
    get begun() {
      return begun;
    },
    holds,
    begin: () => {
      begun = true;
      update();
    },
    update,
    updateEndpoints,
    endpointsApplied: (index) => endpoints?.applied(index),
    close: () => endpoints?.close(),
    onNextSign: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    sign: (alive) => {
      const called = [...listeners];
      listeners.clear();
      for (const listener of called) listener(alive);
    },
  };
}

/** Tells the agent of its cluster what it was not told yet. */
function clusterTeller(
  { nodeId, peer, stream }: Pick<AgentSession, 'nodeId' | 'peer' | 'stream'>,
  peers: Pick<DispatcherContext, 'managers' | 'dataPaths'>,
): (view: ReadView) => void {
  let told: ClusterFacts | undefined;
  let toldFrom: readonly unknown[] = [];
  return (view) => {
    const sources = [
      view.get('node', nodeId),
      view.get('cluster', CLUSTER_KEY),
      peers.managers(),
      peers.dataPaths(),
    ] as const;
    // Most updates are about tasks: objects are immutable, so the same ones have nothing new to say.
    if (told !== undefined && sources.every((source, i) => source === toldFrom[i])) return;
    const [node, cluster, managers, dataPaths] = sources;
    const facts = clusterFacts({ node, cluster, managers, role: peer.role, dataPaths });
    const update = clusterUpdate(told, facts);
    told = facts;
    toldFrom = sources;
    if (update !== undefined) stream.send({ $case: 'cluster', value: update });
  };
}
