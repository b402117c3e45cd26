import { createHash } from 'node:crypto';
import { createSharedMemory, openSharedStore, type SharedMemory } from '@swarmd/store';
import { buildNode, type ManualClock, manualClock, seededRandom } from '@swarmd/testkit';
import { type Logger, pino } from 'pino';
import { checkAddressed } from '../support/address-checks.js';
import { type Dice, dice as diceOf } from '../support/dice.js';
import { Pace } from '../support/pace.js';
import { ZONES } from '../support/service-specs.js';
import { checkSettled } from '../support/settled-checks.js';
import { createTranscript, type Transcript } from '../support/transcript.js';
import { AgentHost } from './agent-host.js';
import { SimulatedEngine } from './engine.js';
import { befall } from './faults.js';
import { ManagerHost } from './manager-host.js';
import { hostOf, PORT } from './manager-network.js';
import { Network } from './network.js';
import { checkNetworksAtRest } from './network-checks.js';
import { NetworkWitness } from './network-witness.js';
import { Clients, OVERLAYS } from './operations.js';
import type { Sabotage } from './sabotage.js';
import { openLog } from './shared-log.js';
import { SimulatedSwarmdNet } from './swarmd-net.js';
import { Witness } from './witness.js';

/** What a run is like. */
export interface ControlPlaneOptions {
  seed: number;
  /** Default 300. */
  steps?: number;
  /** What is broken on purpose, to see that the simulation finds it. */
  sabotage?: Sabotage;
}

/** What came of a run. */
export interface ControlPlaneResult {
  seed: number;
  /** Empty when all held. */
  problems: string[];
  steps: number;
  faults: number;
  acknowledged: number;
  commits: number;
  /** Managers that came to lead, one after the other. */
  leaders: number;
  /** Of all that happened: the same for the same seed. */
  digest: string;
  transcript: string;
}

/** A run is given up at its first problem: what follows from it only confuses. */
class Broken extends Error {}

const MANAGERS = 3;
const AGENTS = 8;
const STEPS = 300;
const FAULTS = { min: 5, max: 10 } as const;
/** Once nothing is broken any more, all must be well within this time: longer than any delay that a spec asks for. */
const SETTLE_MS = 5 * 60_000;
/** So long are nodes without the manager that crashes at the end. */
const FAILOVER_MS = 5_000;
const TRANSCRIPT_LINES = 2_000;

/** Runs three managers and eight agents from one seed: things are asked of them and happen to them, then all must be well. */
export async function simulateControlPlane(options: ControlPlaneOptions): Promise<ControlPlaneResult> {
  const run = new ControlPlane(options);
  try {
    await run.start();
    await run.disturb();
    await run.settle();
    await run.failOver();
  } catch (error) {
    if (!(error instanceof Broken)) run.report(String((error as Error).stack ?? error));
  }
  run.end();
  return run.result();
}

class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #clock: ManualClock = manualClock();
  readonly #random;
  readonly #dice: Dice;
  readonly #network: Network;
  readonly #memory: SharedMemory = createSharedMemory();
  readonly #log = { full: false };
  readonly #witness: Witness;
  readonly #networks: NetworkWitness;
  readonly #pace: Pace;
  readonly #transcript: Transcript;
  readonly #hash = createHash('sha256');
  readonly #clients: Clients;
  readonly #logger: Logger;
  readonly #managers: ManagerHost[] = [];
  readonly #agents = new Map<string, AgentHost>();
  readonly #problems: string[] = [];
  #steps = 0;
  #faults = 0;
  #leaders = 0;
  #term: number | undefined;
  #peaceful = false;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#dice = diceOf(this.#random);
    this.#network = new Network(this.#clock, this.#dice);
    this.#transcript = createTranscript(this.#clock);
    this.#witness = new Witness(
      (problem) => this.report(problem),
      (commit) => {
        this.#transcript.commit(commit);
        this.#networks.committed(commit);
        this.#hash.update(`#${commit.index}@${this.#clock.monotonic()}\n`);
      },
    );
    this.#networks = new NetworkWitness({
      clock: this.#clock,
      agents: this.#agents,
      view: () => this.#witness.view,
      hear: (agent, manager) => this.#hear(agent, manager),
      term: () => this.#witness.term,
      skewMs: () => this.#witness.skewMs,
      report: (problem) => this.report(problem),
    });
    this.#pace = new Pace(this.#clock, () => {
      if (this.#problems.length > 0) throw new Broken();
      return this.#witness.commits;
    });
    this.#clients = new Clients({
      dice: this.#dice,
      view: () => this.#witness.view,
      happened: (operation) => this.#witness.happened(operation),
      note: (text) => this.#note(text),
      report: (problem) => this.report(problem),
    });
    const write = (line: string): void => this.#logged(line);
    this.#logger = pino({ level: 'error' }, { write });
  }

  report(problem: string): void {
    this.#problems.push(problem);
    this.#note(`PROBLEM: ${problem}`);
  }

  async start(): Promise<void> {
    const first = await openSharedStore({ log: this.#memory.open(), clock: this.#clock });
    await first.claim({ nodeId: 'nobody', addr: '' }, new AbortController().signal);
    await first.update((tx) => {
      for (const network of OVERLAYS) tx.create('network', { ID: network.Name, Spec: network });
      for (let i = 1; i <= AGENTS; i++) {
        const node = buildNode(`n${i}`);
        const Role = i <= MANAGERS ? 'manager' : 'worker';
        tx.create('node', {
          ...node,
          Spec: { ...node.Spec, Role, Labels: { zone: ZONES[i % ZONES.length]! } },
          ...(Role === 'manager'
            ? { ManagerStatus: { Leader: false, Reachability: 'unknown', Addr: `n${i}:${PORT}` } }
            : {}),
        });
      }
    });
    await first.resign(new AbortController().signal);
    await first.close();
    await this.#witness.open(this.#memory, this.#clock);
    this.#startHosts();
    await this.#pace.elapse(3_000);
  }

  /** The steps of the run: clients write, hosts and networks fail. */
  async disturb(): Promise<void> {
    const steps = this.#options.steps ?? STEPS;
    const wanted = this.#dice.int(FAULTS.min, FAULTS.max);
    const last = Math.floor(steps * 0.95);
    const faulty = new Set<number>();
    while (faulty.size < Math.min(wanted, last)) faulty.add(this.#dice.int(1, last));
    for (let step = 1; step <= steps; step++) {
      this.#steps++;
      if (faulty.has(step)) this.#befall();
      else if (this.#dice.chance(0.15)) this.#ask();
      await this.#pace.elapse(10 * this.#dice.int(1, 15));
      this.#check();
    }
  }

  /** No more trouble: one leads, all managers hold the same, and everything runs as services want it. */
  async settle(): Promise<void> {
    this.#note('> peace');
    this.#peaceful = true;
    this.#heal();
    const until = this.#clock.monotonic() + SETTLE_MS;
    let wrong: string[] = [];
    do {
      await this.#pace.elapse(1_000);
      this.#heal();
      this.#check();
      wrong = this.#wrongAtRest();
    } while (wrong.length > 0 && this.#clock.monotonic() < until);
    for (const problem of wrong) this.report(problem);
    if (wrong.length > 0) return;
    for (const { id, store } of this.#managers) this.#witness.checkTables(id, store!);
  }

  /** Another leader finds all as it should be, and nodes that come to other managers are told the same. */
  async failOver(): Promise<void> {
    if (this.#problems.length > 0) return;
    this.#note('> the leader crashes');
    this.#managers.find(({ store }) => store?.leads)?.crash();
    await this.#pace.elapse(FAILOVER_MS);
    await this.settle();
  }

  #wrongAtRest(): string[] {
    const { view } = this.#witness;
    const wrong = [...this.#unsettled(), ...checkSettled(view, this.#agents), ...checkAddressed(view)];
    return wrong.length > 0 ? wrong : checkNetworksAtRest(view, this.#agents);
  }

  #hear(agent: string, manager: string): boolean {
    const host = this.#managers.find(({ id }) => id === manager);
    return host?.serves === true && this.#network.reaches(agent, manager);
  }

  end(): void {
    for (const manager of this.#managers) manager.crash();
    for (const agent of this.#agents.values()) agent.crash();
  }

  result(): ControlPlaneResult {
    return {
      seed: this.#options.seed,
      problems: this.#problems,
      steps: this.#steps,
      faults: this.#faults,
      acknowledged: this.#clients.acknowledged,
      commits: this.#witness.commits,
      leaders: this.#leaders,
      digest: this.#hash.copy().digest('hex'),
      transcript: this.#transcript.print(TRANSCRIPT_LINES),
    };
  }

  #startHosts(): void {
    const { sabotage } = this.#options;
    const ports = { clock: this.#clock, random: this.#random, logger: this.#logger, network: this.#network };
    const find = (addr: string): ManagerHost | undefined => this.#managers.find(({ id }) => id === hostOf(addr));
    for (let i = 1; i <= MANAGERS; i++) {
      const manager = new ManagerHost(`n${i}`, {
        ...ports,
        find,
        openLog: (process) => {
          const log = openLog(this.#memory, process, this.#network, this.#log);
          return sabotage?.log === undefined ? log : sabotage.log(log);
        },
        ...(sabotage?.allocatorClock === undefined ? {} : { allocatorClock: sabotage.allocatorClock }),
        ...(sabotage?.calls === undefined ? {} : { sabotage: sabotage.calls }),
        opened: (host, store) => {
          this.#witness.opened(host, store);
          store.onLeadership(() => {
            if (!store.leads || store.leader?.term === this.#term) return;
            this.#term = store.leader?.term;
            this.#leaders++;
            this.#note(`${host} leads, term ${store.leader?.term}`);
          });
        },
        committed: (host, store, commit) => this.#witness.showed(host, store, commit),
      });
      this.#managers.push(manager);
    }
    const managers = this.#managers.map(({ id }) => `${id}:${PORT}`);
    for (let i = 1; i <= AGENTS; i++) {
      const id = `n${i}`;
      const swarmdNet = new SimulatedSwarmdNet(this.#clock, this.#dice);
      const engine = new SimulatedEngine({
        clock: this.#clock,
        dice: this.#dice,
        peaceful: () => this.#peaceful,
        swarmdNet,
        starting: (taskId) => this.#networks.starting(id, taskId),
        started: (taskId) => this.#networks.started(id, taskId),
        ending: (taskId) => {
          this.#witness.ending(id, taskId);
          this.#networks.stopping(id, taskId);
        },
      });
      const about = { id, role: i <= MANAGERS ? 'manager' : 'worker', addr: `10.0.0.${i}` } as const;
      const session = (node: string, manager: string | undefined): void => this.#networks.session(node, manager);
      const agentSabotage = sabotage?.agent === undefined ? {} : { sabotage: sabotage.agent };
      const world = { ...ports, find, managers, session, ...agentSabotage };
      this.#agents.set(id, new AgentHost(about, engine, swarmdNet, world));
    }
  }

  #ask(): void {
    const asked = this.#managers.filter(({ serves }) => serves);
    if (asked.length === 0) return;
    const { id, manager } = this.#dice.pick(asked);
    this.#clients.act(id, manager!.control);
  }

  #befall(): void {
    this.#faults++;
    befall({
      clock: this.#clock,
      dice: this.#dice,
      network: this.#network,
      memory: this.#memory,
      log: this.#log,
      managers: this.#managers,
      agents: this.#agents,
      leader: () => this.#managers.find(({ store }) => store?.leads),
      sample: () => this.#networks.sample(),
      forgot: (node) => this.#networks.disturbed(node),
      compacted: () => this.#witness.compacted(),
      clockJumped: (ms) => this.#witness.clockJumped(ms),
      note: (text) => this.#note(text),
    });
  }

  #heal(): void {
    this.#networks.sample();
    this.#network.mendAll();
    this.#log.full = false;
    for (const manager of this.#managers) {
      if (manager.process.paused) manager.process.wake();
      manager.boot();
    }
    for (const agent of this.#agents.values()) {
      agent.engine.full = false;
      agent.engine.unhang();
      agent.startEngine();
      agent.swarmdNet.busy = false;
      agent.swarmdNet.boot((id) => agent.engine.hasEndpoint(id));
      agent.boot();
    }
  }

  /** What must hold after each step. What must hold of each commit, answer and container is checked as it happens. */
  #check(): void {
    for (const { id, store, process } of this.#managers)
      if (process.alive && store !== undefined) this.#witness.checkIndex(id, store);
    if (this.#problems.length > 0) throw new Broken();
  }

  #unsettled(): string[] {
    const wrong: string[] = [];
    const leading = this.#managers.filter(({ store }) => store?.leads);
    if (leading.length !== 1) wrong.push(`${leading.length} managers lead`);
    for (const { id, store } of this.#managers)
      if (store?.index !== this.#witness.index) wrong.push(`${id} is at #${store?.index} of #${this.#witness.index}`);
    for (const node of this.#witness.view.all('node'))
      if (node.Status.State !== 'ready') wrong.push(`node ${node.ID} is ${node.Status.State}`);
    return wrong;
  }

  #note(text: string): void {
    this.#transcript.note(text);
    this.#hash.update(`${this.#clock.monotonic()} ${text}\n`);
  }

  #logged(line: string): void {
    const { msg, err, component } = JSON.parse(line) as { msg: string; component?: string; err?: { message: string } };
    this.#note(`error logged (${component}): ${msg}: ${err?.message}`);
  }
}
