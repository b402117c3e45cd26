import { compareStates, isTerminal, type Network, type ReadView, type Store, type Task } from '@swarmd/model';
import { NetworkEndpoint_Phase } from '@swarmd/wire';
import { type AssignmentDiff, type AssignmentItem, itemKey } from '../assignments.js';
import type { SessionStream } from '../session-stream.js';
import { taskPhase } from './endpoint-set.js';
import type { NetworkSet } from './network-set.js';

/** What a session has to do with others' knowledge of a network. */
export interface EndpointHub {
  /** The network's set, kept from now on for this session too. */
  hold(networkId: string, session: SessionEndpoints): NetworkSet;
  /** Called when {@link SessionEndpoints.knows} speaks of the network. */
  held(networkId: string, session: SessionEndpoints): void;
  release(networkId: string, session: SessionEndpoints): void;
  /** The session knows more than before. */
  acknowledged(session: SessionEndpoints): void;
  /** Finds out when a phase of a task of the session is known to all, and tells it by `tell`. */
  settle(session: SessionEndpoints, taskId: string, phase: NetworkEndpoint_Phase, networkIds: readonly string[]): void;
}

interface Held {
  set: NetworkSet;
  /** Index that the agent was sent the set as of; `undefined` when it was not yet. */
  sent: number | undefined;
  /** Index whose acknowledgement says that it knows of the network at all. */
  first: number;
}

/** What one agent was told, and has acknowledged, of who is on the networks that it has. */
export class SessionEndpoints {
  readonly nodeId: string;
  readonly #stream: Pick<SessionStream, 'writable' | 'send'>;
  readonly #store: Pick<Store, 'view' | 'index'>;
  readonly #hub: EndpointHub;
  readonly #held = new Map<string, Held>();
  /** Networks of which the agent is to be told something. */
  readonly #dirty = new Set<string>();
  /** Phases of tasks that have settled, to be told. */
  readonly #settled = new Map<string, NetworkEndpoint_Phase>();
  /** The last index sent that stands for all networks; whether something was sent since, and networks for the first time. */
  #closed = 0;
  #unclosed = false;
  #fresh: Held[] = [];
  #acknowledged = 0;

  constructor(
    { nodeId, stream }: { nodeId: string; stream: Pick<SessionStream, 'writable' | 'send'> },
    store: Pick<Store, 'view' | 'index'>,
    hub: EndpointHub,
  ) {
    this.nodeId = nodeId;
    this.#stream = stream;
    this.#store = store;
    this.#hub = hub;
  }

  /** Something of a network that the session holds has changed. */
  touch(networkId: string): void {
    if (this.#held.has(networkId)) this.#dirty.add(networkId);
  }

  /** The agent was sent this difference of its assignments. */
  assigned(diff: AssignmentDiff, view: ReadView): void {
    for (const item of diff.remove) if (item.kind === 'network') this.#drop(item.network.ID);
    for (const item of diff.put)
      if (item.kind === 'network' && item.network.Allocation !== undefined) this.#hold(item.network);
    for (const item of diff.put) if (item.kind === 'task') this.#settle(item, view);
  }

  /** Tells the agent what it does not know yet, as long as it reads. `holds`: whether it was sent a thing. */
  update(holds: (key: string) => boolean): void {
    for (const networkId of this.#dirty) {
      if (!this.#stream.writable) return;
      this.#dirty.delete(networkId);
      this.#send(this.#held.get(networkId)!);
    }
    // The last of several was taken away before its turn: what was sent before it still wants its index.
    const [any] = this.#unclosed && this.#stream.writable ? this.#held.values() : [];
    if (any !== undefined) this.#send(any);
    for (const [taskId, phase] of this.#settled) {
      if (!this.#stream.writable) return;
      this.#settled.delete(taskId);
      if (holds(itemKey('task', taskId))) this.#stream.send({ $case: 'endpointSettled', value: { taskId, phase } });
    }
  }

  /** The agent’s data plane is as it was told up to this index. */
  applied(index: number): void {
    const known = Math.min(index, this.#closed);
    if (known <= this.#acknowledged) return;
    this.#acknowledged = known;
    this.#hub.acknowledged(this);
  }

  /** Whether the agent has all that happened up to an index on those of the networks that it has. */
  knows(networkIds: ReadonlySet<string>, index: number): boolean {
    const known = (held: Held | undefined): boolean =>
      held === undefined || this.#acknowledged >= Math.max(held.first, Math.min(index, held.set.changedAt));
    // Questions name up to all networks, sessions hold up to all: the fewer are walked.
    if (networkIds.size > this.#held.size) {
      for (const [networkId, held] of this.#held) if (networkIds.has(networkId) && !known(held)) return false;
    } else for (const networkId of networkIds) if (!known(this.#held.get(networkId))) return false;
    return true;
  }

  /** A task's phase has settled: the agent is told with the next {@link update}. */
  tell(taskId: string, phase: NetworkEndpoint_Phase): void {
    this.#settled.set(taskId, phase);
  }

  /** The session has ended. */
  close(): void {
    for (const networkId of [...this.#held.keys()]) this.#drop(networkId);
    this.#settled.clear();
  }

  #hold({ ID }: Network): void {
    if (this.#held.has(ID)) return;
    this.#held.set(ID, { set: this.#hub.hold(ID, this), sent: undefined, first: Number.POSITIVE_INFINITY });
    this.#dirty.add(ID);
    this.#hub.held(ID, this);
  }

  #drop(networkId: string): void {
    this.#dirty.delete(networkId);
    if (this.#held.delete(networkId)) this.#hub.release(networkId, this);
  }

  /** Of several that are sent together only the last carries a new index: what acknowledges it acknowledges all. */
  #send(held: Held): void {
    const parts = held.set.since(held.sent);
    const { index } = this.#store;
    if (held.sent === undefined) this.#fresh.push(held);
    held.sent = index;
    this.#unclosed = this.#dirty.size > 0;
    if (!this.#unclosed) {
      this.#closed = index;
      for (const fresh of this.#fresh) fresh.first = index;
      this.#fresh = [];
    }
    for (const part of parts) this.#stream.send({ $case: 'endpoints', value: { ...part, index: this.#closed } });
  }

  #settle({ task, ended }: AssignmentItem & { kind: 'task' }, view: ReadView): void {
    const phase = ended ? undefined : gatedPhase(task, view);
    const networkIds = networksOf(task).filter((id) => this.#held.has(id));
    if (phase !== undefined && networkIds.length > 0) this.#hub.settle(this, task.ID, phase, networkIds);
  }
}

/** The phase that an agent waits for before its next step with a task; `undefined` when there is none. */
function gatedPhase(task: Task, view: ReadView): NetworkEndpoint_Phase | undefined {
  if (isTerminal(task.Status.State) || compareStates(task.Status.State, 'assigned') < 0) return undefined;
  const phase = taskPhase(view, task);
  return phase === NetworkEndpoint_Phase.PHASE_READY ? undefined : phase;
}

function networksOf({ NetworksAttachments }: Task): string[] {
  return (NetworksAttachments ?? []).map(({ Network }) => Network.ID);
}
