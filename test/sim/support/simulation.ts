import { CLUSTER_KEY, type Clock, type Commit, type Store, type StoreEvent, steadyClock } from '@swarmd/model';
import { openStore } from '@swarmd/store';
import { type ManualClock, manualClock, seededRandom } from '@swarmd/testkit';
import { type Logger, pino } from 'pino';
import { checkAddressed, checkAddresses } from './address-checks.js';
import { type Dice, dice as diceOf } from './dice.js';
import { randomFate } from './fate.js';
import { createFaultyLog, type FaultyLog } from './faulty-log.js';
import { type SimulatedManager, startManager } from './manager.js';
import { SimulatedNode } from './node.js';
import { Pace } from './pace.js';
import { act, isRefusal, randomNode, type ScriptWorld } from './script.js';
import { NETWORKS } from './service-specs.js';
import { checkSettled } from './settled-checks.js';
import { type CommitCheck, checkLadder, checkPlacement, createSlotCheck } from './task-checks.js';
import { createTranscript, type Transcript } from './transcript.js';
import { checkUpdateStatus, createParallelismCheck } from './update-checks.js';

/** What a run is like. */
export interface SimulationOptions {
  seed: number;
  nodes: number;
  /** Things that happen to the cluster before it is left alone. */
  steps: number;
  /** Longest time that the log takes for an append, in simulated milliseconds. */
  slowMs: number;
  /** Whether loops look at everything once a minute. Without, a forgotten hint is never made good. */
  resyncs: boolean;
  /** Whether managers restart and clocks jump. */
  turmoil: boolean;
  /** How many of the last lines a transcript shows. */
  transcriptLines?: number;
}

/** What came of a run: `problems` is empty when all held. */
export interface SimulationResult {
  problems: string[];
  transcript: string;
  commits: number;
}

/** A run is given up at its first problem: what follows from it only confuses. */
class Broken extends Error {}

/** Once nothing has changed for this long, nothing will: longer than any delay that a spec or a stuck task can ask for. */
const QUIET_MS = 95_000;
const CLUSTER = {
  ID: CLUSTER_KEY,
  ClusterID: 'simulated',
  Spec: {},
  RootCA: { Certificate: '', Key: '' },
  JoinTokens: { Worker: '', Manager: '' },
  DefaultAddrPool: ['10.0.0.0/8'],
  SubnetSize: 24,
  DataPathPort: 4789,
  RemovedNodes: {},
};
/** The cluster must come to rest within this time after the last disturbance. */
const MAX_SETTLE_MS = 30 * 60_000;

/** Runs a whole cluster from one seed: random things happen to it, then it is left alone and must come to rest. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const run = new Simulation(options);
  try {
    await run.start();
    await run.disturb();
    await run.settle();
    await run.checkFixpoint();
  } catch (error) {
    if (!(error instanceof Broken)) run.problems.push(String((error as Error).stack ?? error));
  }
  await run.stop();
  return {
    problems: run.problems,
    transcript: run.transcript.print(options.transcriptLines ?? 60),
    commits: run.commits,
  };
}

class Simulation {
  readonly problems: string[] = [];
  readonly transcript: Transcript;
  commits = 0;
  /** Commits that did more than say anew why tasks wait: such reasons may grow stale until the scheduler's next sweep. */
  #changes = 0;
  readonly #options: SimulationOptions;
  readonly #clock: ManualClock = manualClock();
  /** What a manager goes by. */
  readonly #steady: Clock = steadyClock(this.#clock);
  readonly #pace: Pace;
  readonly #dice: Dice;
  readonly #random;
  readonly #logger: Logger;
  readonly #log: FaultyLog;
  readonly #agents = new Map<string, SimulatedNode>();
  readonly #checks: CommitCheck[] = [
    checkLadder,
    checkPlacement,
    checkAddresses,
    createSlotCheck(),
    checkUpdateStatus,
    createParallelismCheck(),
  ];
  #store!: Store;
  #manager: SimulatedManager | undefined;
  #nodeCount = 0;
  #peaceful = false;
  #restarting: Promise<void> | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#dice = diceOf(this.#random);
    this.transcript = createTranscript(this.#clock);
    this.#pace = new Pace(this.#clock, () => {
      if (this.problems.length > 0) throw new Broken();
      return this.commits;
    });
    this.#log = createFaultyLog(this.#clock, this.#dice, options.slowMs);
    // A failed pass is a defect here: nothing fails on purpose but the power.
    const write = (line: string): void => this.#logged(line);
    this.#logger = pino({ level: 'error' }, { write });
  }

  async start(): Promise<void> {
    await this.#open();
    this.#attempt(
      'a cluster',
      this.#store.update((tx) => void tx.create('cluster', CLUSTER)),
    );
    for (const network of NETWORKS)
      this.#attempt(`network ${network.Name}`, this.#manager!.control.createNetwork(network));
    for (let i = 0; i < this.#options.nodes; i++) this.#addNode();
    await this.#pace.elapse(2_000);
  }

  async disturb(): Promise<void> {
    const world: ScriptWorld = {
      dice: this.#dice,
      store: () => this.#store,
      control: () => this.#manager!.control,
      nodeIds: () => [...this.#agents.keys()],
      addNode: () => this.#addNode(),
      trouble: (nodeId, kind, forMs) => this.#trouble(nodeId, kind, forMs),
      forget: (nodeId) => this.#forget(nodeId),
      restart: (kind) => this.#restart(kind),
      jumpWall: (ms) => this.#clock.jumpWall(ms),
      step: (text) => this.transcript.step(text),
      attempt: (what, done) => this.#attempt(what, done),
    };
    for (let step = 0; step < this.#options.steps; step++) {
      if (this.#manager !== undefined && this.#restarting === undefined) act(world, this.#options.turmoil);
      await this.#pace.elapse(5 * this.#dice.int(1, this.#dice.chance(0.3) ? 2_000 : 200));
    }
  }

  /** No more trouble: the cluster must come to rest, and as its services want it. */
  async settle(): Promise<void> {
    this.transcript.step('peace');
    this.#peaceful = true;
    for (const agent of this.#agents.values()) {
      agent.powerOn();
      agent.setConnected(true);
    }
    const before = this.commits;
    let lastChange = this.#clock.monotonic();
    const started = lastChange;
    for (let seen = this.commits; this.#clock.monotonic() - lastChange < QUIET_MS; ) {
      await this.#pace.elapse(1_000);
      const busy = [...this.#agents.values()].some((agent) => agent.busy);
      if (seen !== this.commits || busy) lastChange = this.#clock.monotonic();
      seen = this.commits;
      if (this.#clock.monotonic() - started > MAX_SETTLE_MS)
        this.#fail(`no rest after ${this.commits - before} commits`);
    }
    this.problems.push(...checkSettled(this.#store.view, this.#agents), ...checkAddressed(this.#store.view));
    if (this.problems.length > 0) throw new Broken();
  }

  /** At rest, looking at everything again changes nothing; nor do loops that know nothing of what was before. */
  async checkFixpoint(): Promise<void> {
    // A paused update leaves tasks where the new spec forbids them, and the enforcer takes them away when it looks again.
    const settled = [...this.#store.view.all('service')].every(
      ({ UpdateStatus }) => UpdateStatus === undefined || UpdateStatus.State.endsWith('completed'),
    );
    if (!settled) return;
    const before = this.#changes;
    this.#manager!.resync();
    await this.#pace.elapse(1_000);
    if (this.#changes !== before) this.#fail('a resync found something to do');
    await this.#pace.until(this.#manager!.renewLoops());
    await this.#pace.elapse(1_000);
    if (this.#changes !== before) this.#fail('new loops found something to do');
  }

  async stop(): Promise<void> {
    const manager = this.#manager;
    this.#manager = undefined;
    if (manager === undefined) return;
    this.#log.crash();
    await this.#pace.until(manager.stop()).catch(() => {});
  }

  async #open(): Promise<void> {
    this.#store = await openStore({ log: this.#log, clock: this.#steady });
    this.#store.watch((commit) => this.#onCommit(commit));
    const starting = startManager({
      store: this.#store,
      clock: this.#steady,
      random: this.#random,
      logger: this.#logger,
      resyncs: this.#options.resyncs,
      blame: (problem) => this.#fail(problem),
    });
    this.#manager = await this.#pace.until(starting);
  }

  #onCommit(commit: Commit): void {
    this.commits++;
    if (!commit.events.every(isExplanation)) this.#changes++;
    this.transcript.commit(commit);
    for (const check of this.#checks) {
      for (const problem of check(commit, this.#store.view)) this.problems.push(`#${commit.index}: ${problem}`);
    }
  }

  #fail(problem: string): void {
    this.problems.push(problem);
    this.transcript.note(`PROBLEM: ${problem}`);
  }

  #logged(line: string): void {
    if (this.#restarting !== undefined || this.#manager === undefined) return;
    const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string; stack: string } };
    this.#fail(`an error was logged: ${msg} ${err?.stack ?? ''}`);
  }

  #addNode(): void {
    const id = `n${++this.#nodeCount}`;
    this.transcript.step(`${id} joins`);
    const joined = this.#store.update((tx) => void tx.create('node', randomNode(this.#dice, id)));
    const begin = (): void => {
      const agent = new SimulatedNode(id, {
        clock: this.#clock,
        dice: this.#dice,
        serve: () => this.#manager?.serve,
        fateOf: (spec) => randomFate(this.#dice, spec, this.#peaceful),
      });
      this.#agents.set(id, agent);
    };
    this.#attempt(`node ${id}`, joined.then(begin));
  }

  #trouble(nodeId: string, kind: 'power' | 'network', forMs: number): void {
    const agent = this.#agents.get(nodeId);
    if (agent === undefined) return;
    this.transcript.step(`${nodeId} has no ${kind} for ${forMs} ms`);
    if (kind === 'power') agent.powerOff();
    else agent.setConnected(false);
    this.#clock.after(forMs, () => {
      this.transcript.note(`${nodeId} has ${kind} again`);
      if (kind === 'power') agent.powerOn();
      else agent.setConnected(true);
    });
  }

  #forget(nodeId: string): void {
    const agent = this.#agents.get(nodeId);
    this.#agents.delete(nodeId);
    agent?.powerOff();
  }

  #restart(kind: 'loops' | 'manager' | 'crash'): void {
    this.transcript.step(`restart: ${kind}`);
    const manager = this.#manager!;
    const again = async (): Promise<void> => {
      if (kind === 'loops') return manager.renewLoops();
      this.#manager = undefined;
      if (kind === 'crash') this.#log.crash();
      await manager.stop();
      await this.#store.close();
      await this.#open();
    };
    this.#restarting = again().finally(() => {
      this.#restarting = undefined;
    });
    this.#restarting.catch((error: unknown) => this.#fail(`restart: ${String((error as Error).stack)}`));
  }

  #attempt(what: string, done: Promise<unknown>): void {
    this.transcript.step(what);
    done.catch((error: unknown) => {
      this.transcript.note(`refused: ${what.slice(0, 30)}…: ${String(error)}`);
      if (!isRefusal(error)) this.#fail(`${what}: ${String((error as Error).stack)}`);
    });
  }
}

function isExplanation({ table, kind, object, previous }: StoreEvent): boolean {
  if (table !== 'task' || kind !== 'update') return false;
  return (
    object.Status.State === 'pending' &&
    object.DesiredState === previous?.DesiredState &&
    object.NodeID === previous.NodeID
  );
}
