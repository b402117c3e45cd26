import {
  type Clock,
  compareStates,
  isTerminal,
  rfc3339,
  type ServiceSpec,
  type Task,
  type TaskState,
} from '@swarmd/model';
import { type AssignmentChange, Assignments_Kind, type TaskAssignment } from '@swarmd/wire';
import type { Dice } from './dice.js';
import type { Fate } from './fate.js';
import { type Link, type ManagerBody, openLink } from './link.js';
import type { ServerCall } from './server-call.js';

/** What a node needs of the simulation. */
export interface NodeWorld {
  clock: Clock;
  dice: Dice;
  /** The manager's side of a new session; `undefined` while no manager serves. */
  serve(): ((end: ServerCall) => void) | undefined;
  fateOf(spec: ServiceSpec): Fate;
}

interface LocalTask {
  wanted: TaskAssignment;
  state: TaskState;
  fate: Fate;
  running: boolean;
  busy: boolean;
}

const RECONNECT_MS = 400;

/** A simulated agent with its engine: keeps what it was assigned over power cuts, and reports all of it again. */
export class SimulatedNode {
  readonly id: string;
  readonly #world: NodeWorld;
  readonly #tasks = new Map<string, LocalTask>();
  readonly #specs = new Map<string, ServiceSpec>();
  #powered = true;
  #connected = true;
  #life = 0;
  #link: Link | undefined;
  #welcome = false;
  #sequence = 0;
  #seenIndex = 0;
  #parts: AssignmentChange[] = [];
  #batch = 0;

  constructor(id: string, world: NodeWorld) {
    this.id = id;
    this.#world = world;
    this.#connect();
  }

  /** IDs of the tasks whose containers run here, whatever managers believe. */
  get running(): string[] {
    return [...this.#tasks].filter(([, task]) => task.running).map(([id]) => id);
  }

  /** Whether something is under way here that will change a task's state. */
  get busy(): boolean {
    return this.#powered && [...this.#tasks.values()].some((task) => task.busy);
  }

  /** Power goes: containers end, memory of what was assigned stays. */
  powerOff(): void {
    this.#powered = false;
    this.#drop(this.#world.dice.chance(0.5));
    this.#life++;
    for (const task of this.#tasks.values()) {
      task.busy = false;
      if (!task.running) continue;
      task.running = false;
      task.state = compareStates(task.wanted.desiredState as TaskState, 'shutdown') >= 0 ? 'shutdown' : 'failed';
    }
  }

  powerOn(): void {
    this.#powered = true;
    for (const task of this.#tasks.values()) this.#step(task);
    this.#connect();
  }

  /** The network to the managers fails, or works again; containers run on. */
  setConnected(connected: boolean): void {
    this.#connected = connected;
    if (connected) this.#connect();
    else this.#drop(this.#world.dice.chance(0.5));
  }

  #drop(noticed: boolean): void {
    this.#link?.cut(noticed);
    this.#link = undefined;
    this.#welcome = false;
  }

  #later(ms: number, fn: () => void): void {
    const life = this.#life;
    this.#world.clock.after(5 * Math.ceil(ms / 5), () => {
      if (life === this.#life && this.#powered) fn();
    });
  }

  #connect(): void {
    if (!this.#powered || !this.#connected || this.#link !== undefined) return;
    const again = (): void => this.#later(this.#world.dice.int(50, RECONNECT_MS), () => this.#connect());
    const serve = this.#world.serve();
    if (serve === undefined) {
      again();
      return;
    }
    this.#sequence = 0;
    this.#parts = [];
    const link = openLink(this.#world, this.id, serve, {
      onMessage: (body) => this.#hear(link, body),
      onEnd: () => {
        if (this.#link !== link) return;
        this.#link = undefined;
        this.#welcome = false;
        again();
      },
    });
    this.#link = link;
    const about = { description: Buffer.alloc(0), bootNonce: `${this.id}-${this.#life}`, swarmdVersion: 'simulated' };
    const addr = `192.168.0.${this.id.replace(/\D/g, '')}`;
    // Now and then it comes without, as where swarmd-net does not run.
    const dataPath = this.#world.dice.chance(0.1) ? undefined : { addr, mtu: 1500, encryption: false };
    link.send({
      $case: 'register',
      value: { ...about, seenIndex: this.#seenIndex, advertiseAddr: '10.0.0.1', dataPath },
    });
  }

  #hear(link: Link, body: ManagerBody): void {
    if (this.#link !== link) return;
    if (body.$case === 'welcome') {
      this.#welcome = true;
      this.#beat(link, body.value.heartbeatPeriodMs);
    } else if (body.$case === 'heartbeat') this.#beat(link, body.value.heartbeatPeriodMs);
    else if (body.$case === 'assignments') {
      const { kind, appliesTo, resultsIn, storeIndex, changes, lastPart } = body.value;
      const complete = kind === Assignments_Kind.KIND_COMPLETE;
      if (!complete && appliesTo !== this.#sequence)
        throw new Error(`a difference to ${appliesTo}, at ${this.#sequence}`);
      if (complete && storeIndex < this.#seenIndex) throw new Error('a full set from the past');
      this.#parts.push(...changes);
      if (!lastPart) return;
      this.#sequence = resultsIn;
      this.#seenIndex = Math.max(this.#seenIndex, storeIndex);
      this.#assign(this.#parts, complete);
      this.#parts = [];
    }
  }

  #beat(link: Link, periodMs: number): void {
    this.#later(periodMs, () => {
      if (this.#link === link) link.send({ $case: 'heartbeat', value: { clockMs: 0 } });
    });
  }

  #assign(changes: readonly AssignmentChange[], complete: boolean): void {
    const named = new Set<string>();
    for (const { item, remove } of changes) {
      if (item?.$case === 'spec' && !remove) {
        const { serviceId, specVersion, spec } = item.value;
        this.#specs.set(`${serviceId}/${specVersion}`, JSON.parse(spec.toString()) as ServiceSpec);
      }
      if (item?.$case !== 'task') continue;
      named.add(item.value.id);
      if (remove) this.#withdraw(item.value.id);
      else this.#want(item.value);
    }
    if (!complete) return;
    for (const id of [...this.#tasks.keys()]) if (!named.has(id)) this.#withdraw(id);
    this.#report([...this.#tasks]);
  }

  #want(wanted: TaskAssignment): void {
    let task = this.#tasks.get(wanted.id);
    if (task === undefined) {
      const spec = this.#specs.get(`${wanted.serviceId}/${wanted.specVersion}`);
      if (spec === undefined) throw new Error(`task ${wanted.id} came without its spec`);
      const fate = this.#world.fateOf(spec);
      task = { wanted, state: 'assigned', fate, running: false, busy: false };
      this.#tasks.set(wanted.id, task);
    }
    task.wanted = wanted;
    this.#step(task);
  }

  /** Nobody asks for it any more: it goes without a word. */
  #withdraw(id: string): void {
    this.#tasks.delete(id);
  }

  #step(task: LocalTask): void {
    if (task.busy || isTerminal(task.state)) return;
    const { wanted, fate } = task;
    const desired = wanted.desiredState as TaskState;
    const { dice } = this.#world;
    if (wanted.ended || compareStates(desired, 'shutdown') >= 0) {
      this.#after(task, task.running ? fate.stopMs : dice.int(0, 50), 'shutdown');
    } else if (task.state === 'assigned') this.#after(task, dice.int(0, 20), 'accepted');
    else if (task.state === 'accepted') this.#after(task, 0, 'preparing');
    else if (task.state === 'preparing') this.#after(task, fate.prepareMs, fate.rejects ? 'rejected' : 'ready');
    else if (task.state === 'ready' && compareStates(desired, 'ready') > 0) this.#after(task, 0, 'starting');
    else if (task.state === 'starting') this.#after(task, fate.startMs, 'running');
    else if (task.state === 'running' && fate.runMs !== undefined) this.#live(task, fate.runMs);
  }

  /** Whatever happens while it runs, the container ends at its time. */
  #live(task: LocalTask, runMs: number): void {
    task.fate.runMs = undefined;
    this.#later(runMs, () => {
      if (task.running) this.#become(task, task.fate.endsIn);
    });
  }

  #after(task: LocalTask, ms: number, state: TaskState): void {
    task.busy = true;
    this.#later(ms, () => {
      task.busy = false;
      if (isTerminal(task.state)) return;
      this.#become(task, state);
    });
  }

  #become(task: LocalTask, state: TaskState): void {
    task.state = state;
    task.running = state === 'running';
    if (!this.#tasks.has(task.wanted.id)) return;
    this.#report([[task.wanted.id, task]]);
    this.#step(task);
  }

  #report(tasks: readonly [string, LocalTask][]): void {
    if (this.#link === undefined || !this.#welcome) return;
    const statuses = tasks
      .filter(([, task]) => task.state !== 'assigned')
      .map(([taskId, { state }]) => {
        const status: Pick<Task['Status'], 'Timestamp' | 'State' | 'Message'> = {
          Timestamp: rfc3339(this.#world.clock.now()),
          State: state,
          Message: state,
        };
        return { taskId, status: Buffer.from(JSON.stringify(status)) };
      });
    if (statuses.length > 0) this.#link.send({ $case: 'statuses', value: { sequence: ++this.#batch, statuses } });
  }
}
