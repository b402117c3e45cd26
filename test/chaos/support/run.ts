import { absentRegister, type Call, checkHistory, createHistory, type Register, type Verdict } from '@swarmd/testkit';
import { nodeNames } from '../../e2e/support/observe.js';
import { type Casting, createCasting } from './casting.js';
import { askAll, type Notes, runClient } from './clients.js';
import { createDice } from './dice.js';
import { beginFault, type Undo, waitUntilHealed } from './faults.js';
import { judgeLives, type Life } from './lives.js';
import { blob, idleService, nodeLabels, type Resource, runningService } from './resources.js';
import { describeFault, FAULT_KINDS, type FaultKind, type PlannedFault, planFaults } from './schedule.js';
import { waitUntilSettled } from './settled.js';
import { watchEngines } from './watch-engines.js';
import { type Findings, watchVersions } from './watch-versions.js';
import { type World, waitUntilReady } from './world.js';

/** One run: the same seed draws the same faults and the same wishes of clients. */
export interface RunOptions {
  seed: number;
  seconds: number;
  kinds: readonly FaultKind[];
  maxHurtManagers: number;
  /** Takes the transcript, line by line. */
  say: (line: string) => void;
}

/** What became of a run, after everything was healed and calm again. */
export interface RunReport {
  readonly faults: readonly PlannedFault[];
  readonly calls: readonly Call[];
  readonly verdicts: readonly Verdict[];
  readonly lives: readonly Life[];
  /** What of them should not have been, in words. */
  readonly problems: readonly string[];
  readonly versions: Findings;
  readonly notes: Notes;
}

const CLIENTS = 6;
const CLIENT_PAUSE_MS = [60, 240] as const;
/** Changes of services with containers take a while each. */
const OPERATOR_PAUSE_MS = [300, 1_500] as const;
/** What a host may still hold after it was out of reach: until its agent is back and has stopped it. */
const EXCUSED_SECONDS = 20;
/** And so many times what taking a fault back took, on a machine that is short of time. */
const EXCUSED_FACTOR = 5;

/** The services with containers; `first` is the one whose updates start the new task first. */
const RUNNING: readonly Resource[] = [
  runningService('web', {}),
  runningService('first', { UpdateConfig: { Parallelism: 1, Order: 'start-first', FailureAction: 'continue' } }),
  runningService('all', { Mode: { Global: {} } }),
];
/** What has no tasks, and is changed often. */
const IDLE: readonly Resource[] = [
  ...Array.from({ length: 5 }, (_, index) => blob('config', `c-${index}`)),
  ...Array.from({ length: 3 }, (_, index) => blob('secret', `s-${index}`)),
  ...Array.from({ length: 3 }, (_, index) => idleService(`idle-${index}`)),
];
const runningNames = RUNNING.map(({ key }) => key.slice(key.indexOf('/') + 1));

/** Hurts a cluster under a stream of reads and writes, heals it, waits until it is calm, and checks what was seen. */
export async function runChaos(world: World, options: RunOptions): Promise<RunReport> {
  const began = performance.now();
  const beganAt = Date.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const say = (text: string): void => options.say(`${seconds().toFixed(1).padStart(7)}  ${text}`);
  say(`begins at ${beganAt} by the logs`);
  const history = createHistory(() => performance.now() - began);
  const notes: Notes = { surprises: [], acknowledgedAt: [] };
  const nodes = [...(await nodeNames(world.managers[0]!.host)).keys()].sort().map(nodeLabels);
  const idle = [...IDLE, ...nodes];
  const dice = (stream: number) => createDice(options.seed, stream);
  const client = { managers: world.managers, history };
  await askAll('read', { ...client, name: 'setup', resources: nodes, dice: dice(0) }, notes);
  const initial = new Map(history.calls.map(({ key, answer }) => [key, registerOf(answer)]));
  await askAll('create', { ...client, name: 'setup', resources: RUNNING, dice: dice(0) }, notes);
  await waitUntilSettled(world, runningNames);

  const stage: Stage = {
    ...{ world, seconds, say, excuses: [], slowestUndo: 0, began: seconds() },
    casting: createCasting(world.managers, options.maxHurtManagers),
  };
  const excused = (host: string, at: number): boolean => {
    const later = EXCUSED_SECONDS + EXCUSED_FACTOR * stage.slowestUndo;
    return stage.excuses.some(({ hosts, from, to }) => hosts.includes(host) && at >= from && at <= to + later);
  };
  const ending = new AbortController();
  const watching = new AbortController();
  const engines = watchEngines(world.places, (wallMs) => (wallMs - beganAt) / 1000);
  const versions = watchVersions(world.managers, dice(1), watching.signal);
  const clients = [
    ...Array.from({ length: CLIENTS }, (_, index) => {
      const own = { ...client, name: `c${index}`, resources: idle, dice: dice(10 + index), pauseMs: CLIENT_PAUSE_MS };
      return runClient(own, notes, ending.signal);
    }),
    runClient(
      { ...client, name: 'op', resources: RUNNING, dice: dice(2), pauseMs: OPERATOR_PAUSE_MS },
      notes,
      ending.signal,
    ),
  ];
  const hosts = world.places.map(({ host, manager }) => ({ name: host.name, manager }));
  const faults = planFaults({ ...options, dice: dice(3), hosts });
  const work = Promise.all([versions, ...clients]);
  try {
    await Promise.race([playFaults(stage, faults), work.then(() => {})]);
    ending.abort();
    await Promise.all(clients);
    say('all faults are taken back');
    await waitUntilHealed(world);
    await waitUntilReady(world);
    say('all nodes are ready');
    await waitUntilSettled(world, runningNames);
    say('all services have converged');
    const end = { ...client, name: 'end', dice: dice(4) };
    await askAll('create', { ...end, resources: [blob('config', 'last')] }, notes);
    await askAll('read', { ...end, resources: [...idle, ...RUNNING] }, notes);
  } finally {
    ending.abort();
    watching.abort();
    await engines.stop();
    await work;
  }
  const { calls } = history;
  const verdicts = checkHistory(calls, { initial });
  say(`${calls.length} calls, ${notes.acknowledgedAt.length} acknowledged writes`);
  const { lives } = engines;
  const problems = judgeLives(lives, (service) => (service === 'first' ? 2 : 1), excused);
  return { faults, calls, verdicts, lives, problems, versions: await versions, notes };
}

interface Stage {
  world: World;
  casting: Casting;
  /** Seconds since the run began, and how many those were when the faults did. */
  seconds: () => number;
  began: number;
  say: (text: string) => void;
  excuses: { hosts: string[]; from: number; to: number }[];
  /** Seconds that it took at most to take a fault back: how slow this machine is just now. */
  slowestUndo: number;
}

/** Begins and takes back each fault in its time; in the end all are taken back, whatever happened. */
async function playFaults(stage: Stage, faults: readonly PlannedFault[]): Promise<void> {
  const { world, casting, began, seconds, say, excuses } = stage;
  const until = (at: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, Math.max(0, (at - seconds()) * 1000)));
  const play = async (planned: PlannedFault): Promise<void> => {
    await until(began + planned.from);
    const fault = await casting.cast(planned);
    const excuse = { hosts: [fault.host, ...fault.peers], from: seconds(), to: Infinity };
    if (FAULT_KINDS[fault.kind].hurts) excuses.push(excuse);
    const told = `${describeFault(fault)}${fault.atLeader ? ', leads' : ''}`;
    say(`begin ${told}`);
    try {
      const undo: Undo = await beginFault(world, fault);
      await until(excuse.from + fault.to - fault.from);
      const undoing = seconds();
      await undo();
      excuse.to = seconds();
      stage.slowestUndo = Math.max(stage.slowestUndo, excuse.to - undoing);
    } finally {
      casting.free(fault);
    }
    say(`end   ${told}`);
  };
  const played = await Promise.allSettled(faults.map(play));
  const failed = played.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
  if (failed !== undefined) throw failed.reason;
}

function registerOf(answer: Call['answer']): Register {
  if (answer.kind !== 'found') return absentRegister;
  const { id, version, value } = answer;
  return { present: true, id, version, value, floor: version, not: [] };
}
