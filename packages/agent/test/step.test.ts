import { isTerminal, TASK_STATE_ORDER, type TaskState } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import {
  type ContainerFacts,
  GATE_TIMEOUT_MS,
  nextStep,
  OWN_NETWORKS_TIMEOUT_MS,
  RETRY_DELAY_MS,
  type Step,
  type TaskObserved,
  type TaskWanted,
} from '../src/task/step.js';

const wanted = (over: Partial<TaskWanted> = {}): TaskWanted => ({
  desiredState: 'running',
  withdrawn: false,
  ended: false,
  missing: [],
  overlay: false,
  networksBehindMs: Number.NEGATIVE_INFINITY,
  drainMs: 0,
  ...over,
});
const seen = (state: TaskState, over: Partial<TaskObserved> = {}): TaskObserved => ({
  state,
  message: state,
  container: { kind: 'absent' },
  cancelling: false,
  unhealthy: false,
  gates: {},
  ...over,
});
const surroundings = { engineUp: true };
const created: ContainerFacts = { kind: 'created', id: 'c' };
const running = (health: 'none' | 'starting' | 'healthy' | 'unhealthy' = 'none'): ContainerFacts => ({
  kind: 'running',
  id: 'c',
  health,
});
const exited = (exitCode: number, reason?: string): ContainerFacts => ({
  kind: 'exited',
  id: 'c',
  exitCode,
  ...(reason === undefined ? {} : { reason }),
});
const failure = (operation: 'prepare' | 'start' | 'stop' | 'remove', temporary: boolean, atMs = 0) => ({
  operation,
  message: 'boom',
  temporary,
  atMs,
});
const to = (state: TaskState, message: string, err?: string): Step => ({
  kind: 'transition',
  state,
  message,
  ...(err === undefined ? {} : { err }),
});
const wait: Step = { kind: 'wait' };

const onOverlay = (over: Partial<TaskWanted> = {}) => wanted({ overlay: true, ...over });
const stopping = (over: Partial<TaskWanted> = {}) => onOverlay({ desiredState: 'shutdown', ...over });
const stop: Step = { kind: 'stop', because: 'desired' };

const table: [name: string, TaskWanted, TaskObserved, Step][] = [
  ['accepts what it is assigned', wanted(), seen('assigned'), to('accepted', 'accepted')],
  ['prepares an accepted task', wanted(), seen('accepted'), to('preparing', 'preparing')],
  ['makes a container while preparing', wanted(), seen('preparing'), { kind: 'prepare' }],
  ['does not ask the engine before it knows it', wanted(), seen('preparing', { container: { kind: 'unknown' } }), wait],
  ['is ready once the container is made', wanted(), seen('preparing', { container: created }), to('ready', 'prepared')],
  [
    'adopts a container that runs already',
    wanted(),
    seen('preparing', { container: running() }),
    to('ready', 'prepared'),
  ],
  [
    'pauses at ready when only ready is desired',
    wanted({ desiredState: 'ready' }),
    seen('ready', { container: created }),
    wait,
  ],
  [
    'goes on from ready when running is desired',
    wanted(),
    seen('ready', { container: created }),
    to('starting', 'starting'),
  ],
  [
    'runs jobs like services',
    wanted({ desiredState: 'complete' }),
    seen('ready', { container: created }),
    to('starting', 'starting'),
  ],
  ['starts', wanted(), seen('starting', { container: created }), { kind: 'start' }],
  ['makes the container again when it was removed before the start', wanted(), seen('starting'), { kind: 'prepare' }],
  ['waits for the health check', wanted(), seen('starting', { container: running('starting') }), wait],
  ['runs when healthy', wanted(), seen('starting', { container: running('healthy') }), to('running', 'started')],
  [
    'runs when nothing checks its health',
    wanted(),
    seen('starting', { container: running() }),
    to('running', 'started'),
  ],
  [
    'stops what never became healthy',
    wanted(),
    seen('starting', { container: running('unhealthy') }),
    { kind: 'stop', because: 'unhealthy' },
  ],
  [
    'stops what became unhealthy',
    wanted(),
    seen('running', { container: running('unhealthy') }),
    { kind: 'stop', because: 'unhealthy' },
  ],
  [
    'fails when its unhealthy container is stopped',
    wanted(),
    seen('running', { container: exited(137), unhealthy: true }),
    to('failed', 'running', 'task: non-zero exit (137): dockerexec: unhealthy container'),
  ],
  [
    'fails even if the unhealthy container exits 0',
    wanted(),
    seen('running', { container: exited(0), unhealthy: true }),
    to('failed', 'running', 'task: dockerexec: unhealthy container'),
  ],
  ['waits while it runs', wanted(), seen('running', { container: running('healthy') }), wait],
  ['is complete after exit 0', wanted(), seen('running', { container: exited(0) }), to('complete', 'finished')],
  [
    'is complete when it ended before running was seen',
    wanted(),
    seen('starting', { container: exited(0) }),
    to('complete', 'finished'),
  ],
  [
    'fails after any other exit',
    wanted(),
    seen('running', { container: exited(3) }),
    to('failed', 'running', 'task: non-zero exit (3)'),
  ],
  [
    'says that memory ran out',
    wanted(),
    seen('running', { container: exited(137, 'out of memory') }),
    to('failed', 'running', 'task: non-zero exit (137): out of memory'),
  ],
  [
    'fails when somebody removed its container',
    wanted(),
    seen('running', { container: { kind: 'gone' } }),
    to('failed', 'running', 'the container was removed'),
  ],
  [
    'rejects when preparing fails',
    wanted(),
    seen('preparing', { failure: failure('prepare', false) }),
    to('rejected', 'preparing', 'boom'),
  ],
  [
    'fails when starting fails',
    wanted(),
    seen('starting', { container: created, failure: failure('start', false) }),
    to('failed', 'starting', 'boom'),
  ],
  [
    'tries a temporary failure again after a while',
    wanted(),
    seen('preparing', { failure: failure('prepare', true, -500) }),
    { kind: 'wait', untilMs: RETRY_DELAY_MS - 500 },
  ],
  [
    'tries a temporary failure again',
    wanted(),
    seen('preparing', { failure: failure('prepare', true, -RETRY_DELAY_MS) }),
    { kind: 'prepare' },
  ],
  [
    'says what it waits for',
    wanted({ missing: ['secret a'] }),
    seen('preparing'),
    to('preparing', 'waiting for secret a'),
  ],
  ['says it once', wanted({ missing: ['secret a'] }), seen('preparing', { message: 'waiting for secret a' }), wait],
  ['waits for its operation', wanted(), seen('starting', { operation: 'start' }), wait],
  [
    'gives up preparing when it is to stop',
    wanted({ desiredState: 'shutdown' }),
    seen('preparing', { operation: 'prepare' }),
    { kind: 'cancel' },
  ],
  [
    'gives up once',
    wanted({ desiredState: 'shutdown' }),
    seen('preparing', { operation: 'prepare', cancelling: true }),
    wait,
  ],
  [
    'lets a start end before it stops',
    wanted({ desiredState: 'shutdown' }),
    seen('starting', { operation: 'start' }),
    wait,
  ],
  [
    'stops when shutdown is desired',
    wanted({ desiredState: 'shutdown' }),
    seen('running', { container: running() }),
    { kind: 'stop', because: 'desired' },
  ],
  [
    'is shut down once stopped',
    wanted({ desiredState: 'shutdown' }),
    seen('running', { container: exited(143) }),
    to('shutdown', 'shutdown'),
  ],
  [
    'is shut down at once when it never ran',
    wanted({ desiredState: 'shutdown' }),
    seen('accepted'),
    to('shutdown', 'shutdown'),
  ],
  [
    'keeps the container of a stopped task',
    wanted({ desiredState: 'shutdown' }),
    seen('shutdown', { container: exited(0) }),
    wait,
  ],
  [
    'removes the container when remove is desired',
    wanted({ desiredState: 'remove' }),
    seen('shutdown', { container: exited(0) }),
    { kind: 'remove' },
  ],
  [
    'stops before it removes',
    wanted({ desiredState: 'remove' }),
    seen('running', { container: running() }),
    { kind: 'stop', because: 'desired' },
  ],
  ['keeps a removed task until it is withdrawn', wanted({ desiredState: 'remove' }), seen('shutdown'), wait],
  ['forgets what is withdrawn and gone', wanted({ withdrawn: true }), seen('shutdown'), { kind: 'forget' }],
  ['never starts what the cluster saw end', wanted({ ended: true }), seen('assigned'), to('shutdown', 'shutdown')],
  [
    'stops a container that outlived its task',
    wanted(),
    seen('failed', { container: running() }),
    { kind: 'stop', because: 'ended' },
  ],
  ['leaves a failed task alone', wanted(), seen('failed', { container: exited(1) }), wait],
  [
    'leaves a task alone that was reported further than desired',
    wanted({ desiredState: 'ready' }),
    seen('running', { container: running() }),
    wait,
  ],
];
const gates: [name: string, TaskWanted, TaskObserved, Step][] = [
  [
    'waits for others to know its address',
    onOverlay(),
    seen('starting', { container: created }),
    { kind: 'hold', gate: 'reserved' },
  ],
  [
    'waits for three seconds at most',
    onOverlay(),
    seen('starting', { container: created, gates: { reserved: { sinceMs: -1_000 } } }),
    { kind: 'wait', untilMs: GATE_TIMEOUT_MS - 1_000 },
  ],
  [
    'starts once they do',
    onOverlay(),
    seen('starting', { container: created, gates: { reserved: { sinceMs: -1_000, settledMs: 0 } } }),
    { kind: 'start' },
  ],
  [
    'starts at once when they did before',
    onOverlay(),
    seen('starting', { container: created, gates: { reserved: { settledMs: -1_000 } } }),
    { kind: 'start' },
  ],
  [
    'starts when that takes too long',
    onOverlay(),
    seen('starting', { container: created, gates: { reserved: { sinceMs: -GATE_TIMEOUT_MS } } }),
    { kind: 'start' },
  ],
  [
    'waits for what is missing before others',
    onOverlay({ missing: ['config x'] }),
    seen('starting', { container: created }),
    to('starting', 'waiting for config x'),
  ],
  [
    'waits for others to lead nothing to it before it stops',
    stopping(),
    seen('running', { container: running() }),
    { kind: 'hold', gate: 'draining' },
  ],
  [
    'goes on serving meanwhile',
    stopping(),
    seen('running', { container: running(), gates: { draining: { sinceMs: 0 } } }),
    { kind: 'wait', untilMs: GATE_TIMEOUT_MS },
  ],
  [
    'stops once they do',
    stopping(),
    seen('running', { container: running(), gates: { draining: { sinceMs: -500, settledMs: 0 } } }),
    stop,
  ],
  [
    'serves for its grace after that',
    stopping({ drainMs: 10_000 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -500, settledMs: -100 } } }),
    { kind: 'wait', untilMs: 9_900 },
  ],
  [
    'counts its grace from when the gate opened by itself, where nobody said so',
    stopping({ drainMs: 10_000 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -500 } } }),
    { kind: 'wait', untilMs: GATE_TIMEOUT_MS + 9_500 },
  ],
  [
    'stops after its grace',
    stopping({ drainMs: 10_000 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -10_500, settledMs: -10_000 } } }),
    stop,
  ],
  [
    'is waited at while the node’s own networks are behind',
    stopping({ networksBehindMs: 0 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -14_950, settledMs: -12_000 } } }),
    { kind: 'wait', untilMs: 50 },
  ],
  [
    'gives the grace from when the node’s own networks were no longer behind',
    stopping({ networksBehindMs: -2_000, drainMs: 10_000 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -14_000, settledMs: -12_000 } } }),
    { kind: 'wait', untilMs: 8_000 },
  ],
  [
    'opens by itself when the node’s own networks stay behind',
    stopping({ networksBehindMs: 0 }),
    seen('running', { container: running(), gates: { draining: { sinceMs: -OWN_NETWORKS_TIMEOUT_MS } } }),
    stop,
  ],
  [
    'is waited at when others know and the node’s own networks do not',
    onOverlay({ desiredState: 'running', networksBehindMs: 0 }),
    seen('starting', { container: created, gates: { reserved: { settledMs: -1_000 } } }),
    { kind: 'hold', gate: 'reserved' },
  ],
  [
    'does not wait before it stops what is unhealthy',
    stopping({ drainMs: 10_000 }),
    seen('running', { container: running('unhealthy') }),
    stop,
  ],
  [
    'does not wait when its health fails while it runs',
    onOverlay(),
    seen('running', { container: running('unhealthy') }),
    { kind: 'stop', because: 'unhealthy' },
  ],
  [
    'does not wait before it stops what never served',
    stopping(),
    seen('starting', { container: running('starting') }),
    stop,
  ],
  [
    'does not wait when the cluster does not know it',
    onOverlay({ withdrawn: true }),
    seen('running', { container: running() }),
    stop,
  ],
  [
    'does not wait when the cluster saw it end',
    onOverlay({ ended: true }),
    seen('running', { container: running() }),
    stop,
  ],
  [
    'does not wait for what outlived its task',
    stopping(),
    seen('failed', { container: running() }),
    { kind: 'stop', because: 'ended' },
  ],
  [
    'does not wait when it ended by itself meanwhile',
    stopping(),
    seen('running', { container: exited(0), gates: { draining: { sinceMs: 0 } } }),
    to('shutdown', 'shutdown'),
  ],
  [
    'has no grace off the overlays',
    wanted({ desiredState: 'shutdown', drainMs: 10_000 }),
    seen('running', { container: running() }),
    stop,
  ],
];
for (const [name, want, observed, step] of gates) {
  t.test(`gates › ${name}`, async (t) => {
    t.strictSame(nextStep(want, observed, surroundings, { now: 0 }), step);
  });
}
for (const [name, want, observed, step] of table) {
  t.test(`step › ${name}`, async (t) => {
    t.strictSame(nextStep(want, observed, surroundings, { now: 0 }), step);
  });
}

t.test('step › asks nothing of an engine that is down', async (t) => {
  for (const [, want, observed] of table) {
    const step = nextStep(want, observed, { ...surroundings, engineUp: false }, { now: 0 });
    t.notOk(['prepare', 'start', 'stop', 'remove'].includes(step.kind));
  }
});

/** A world around one task: applies steps as the agent does, with an engine that obeys or fails as told. */
class World {
  wanted = wanted();
  observed = seen('assigned');
  up = true;
  now = 0;
  /** When the container was asked to start and to stop on request, and whether that was in order. */
  early: string[] = [];
  history: TaskState[] = ['assigned'];
  forgotten = false;

  step(fate: 'ok' | 'temporary' | 'permanent' | 'leave'): Step {
    const step = nextStep(this.wanted, this.observed, { engineUp: this.up }, { now: this.now });
    const o = this.observed;
    if (step.kind === 'transition') {
      o.state = step.state;
      o.message = step.message;
      this.history.push(step.state);
    } else if (step.kind === 'forget') this.forgotten = true;
    else if (step.kind === 'cancel') o.cancelling = true;
    else if (step.kind === 'hold') o.gates = { ...o.gates, [step.gate]: { ...o.gates[step.gate], sinceMs: this.now } };
    else if (step.kind !== 'wait') {
      this.check(step);
      o.operation = step.kind;
      if (step.kind === 'stop' && step.because === 'unhealthy') o.unhealthy = true;
      delete o.failure;
      if (fate !== 'leave') this.finish(fate);
    }
    return step;
  }

  /** What a gate promises: nothing passes it before it opens, but for the exceptions. */
  check(step: Step): void {
    if (!this.wanted.overlay) return;
    const open = (gate: 'reserved' | 'draining', graceMs: number) => {
      const { sinceMs = this.now, settledMs = Number.POSITIVE_INFINITY } = this.observed.gates[gate] ?? {};
      return this.now >= Math.min(sinceMs + GATE_TIMEOUT_MS, settledMs) + graceMs;
    };
    if (step.kind === 'start' && !open('reserved', 0)) this.early.push('start');
    const { state, container, unhealthy } = this.observed;
    const serves = container.kind === 'running' && container.health !== 'unhealthy' && !unhealthy;
    if (step.kind !== 'stop' || step.because !== 'desired' || state !== 'running' || !serves) return;
    if (!this.wanted.withdrawn && !open('draining', this.wanted.drainMs)) this.early.push('stop');
  }

  settle(gate: 'reserved' | 'draining'): void {
    const { gates } = this.observed;
    if (gates[gate]?.settledMs !== undefined) return;
    this.observed.gates = { ...gates, [gate]: { ...gates[gate], settledMs: this.now } };
  }

  finish(fate: 'ok' | 'temporary' | 'permanent'): void {
    const o = this.observed;
    const { operation } = o;
    if (operation === undefined) return;
    delete o.operation;
    if (o.cancelling) {
      o.cancelling = false;
      return;
    }
    if (fate !== 'ok') {
      o.failure = { operation, message: 'boom', temporary: fate === 'temporary', atMs: this.now };
      return;
    }
    const effects: Record<typeof operation, () => ContainerFacts> = {
      prepare: () => created,
      start: () => (o.container.kind === 'created' ? running('starting') : o.container),
      stop: () => (o.container.kind === 'running' ? exited(143) : o.container),
      remove: () => ({ kind: 'absent' }),
    };
    o.container = effects[operation]();
  }
}

const happenings = fc.array(
  fc.oneof(
    fc.constantFrom('ok', 'temporary', 'permanent', 'leave').map((fate) => ({ do: 'step', fate }) as const),
    fc.constantFrom('ok', 'temporary', 'permanent').map((fate) => ({ do: 'finish', fate }) as const),
    fc
      .constantFrom('ready', 'running', 'complete', 'shutdown', 'remove')
      .map((state) => ({ do: 'desire', state: state as TaskState }) as const),
    fc.constantFrom('healthy', 'unhealthy', 'none').map((health) => ({ do: 'health', health }) as const),
    fc.nat(255).map((code) => ({ do: 'exit', code }) as const),
    fc.constant({ do: 'destroy' } as const),
    fc.boolean().map((up) => ({ do: 'engine', up }) as const),
    fc.constant({ do: 'tick' } as const),
    fc.constantFrom('reserved', 'draining').map((gate) => ({ do: 'settle', gate }) as const),
  ),
  { maxLength: 60 },
);
type Happening = typeof happenings extends fc.Arbitrary<(infer H)[]> ? H : never;

function happen(world: World, h: Happening): void {
  const { container } = world.observed;
  if (h.do === 'step') world.step(h.fate);
  else if (h.do === 'finish') world.finish(h.fate);
  else if (h.do === 'desire') {
    // Desired states only grow, as the orchestrator has it.
    if (TASK_STATE_ORDER[h.state] > TASK_STATE_ORDER[world.wanted.desiredState]) world.wanted.desiredState = h.state;
  } else if (h.do === 'health' && container.kind === 'running') world.observed.container = running(h.health);
  else if (h.do === 'exit' && container.kind === 'running') world.observed.container = exited(h.code);
  else if (h.do === 'destroy' && container.kind !== 'absent' && container.kind !== 'unknown') {
    world.observed.container = container.kind === 'created' ? { kind: 'absent' } : { kind: 'gone' };
  } else if (h.do === 'engine') world.up = h.up;
  else if (h.do === 'tick') world.now += RETRY_DELAY_MS;
  else if (h.do === 'settle') world.settle(h.gate);
}

/** Tasks on overlays and others, with and without a grace. */
const kinds = fc.record({ overlay: fc.boolean(), drainMs: fc.constantFrom(0, 1_500, 10_000) });
function worldOf(kind: { overlay: boolean; drainMs: number }): World {
  const world = new World();
  world.wanted = { ...world.wanted, ...kind };
  return world;
}

/** Lets everything succeed until the task rests. */
function settle(world: World): void {
  world.up = true;
  world.finish('ok');
  for (let i = 0; i < 50 && !world.forgotten; i++) {
    if (world.observed.container.kind === 'running' && world.observed.container.health === 'starting') {
      world.observed.container = running('healthy');
    }
    world.now += RETRY_DELAY_MS;
    const step = world.step('ok');
    // What waits at a gate goes on when its time has come.
    if (step.kind === 'wait' && step.untilMs !== undefined) world.now = step.untilMs;
    else if (step.kind === 'wait') return;
  }
}

t.test('step › from any course of events states only go forward', async () => {
  fc.assert(
    fc.property(happenings, kinds, (course, kind) => {
      const world = worldOf(kind);
      for (const h of course) happen(world, h);
      settle(world);
      for (let i = 1; i < world.history.length; i++) {
        if (TASK_STATE_ORDER[world.history[i]!] < TASK_STATE_ORDER[world.history[i - 1]!]) return false;
        if (isTerminal(world.history[i - 1]!)) return false;
      }
      return world.early.length === 0;
    }),
    { numRuns: 2000 },
  );
});

const goals = fc.constantFrom('ready', 'running', 'shutdown', 'remove', 'withdrawn');
t.test('step › from any course of events a task ends where it should', async () => {
  fc.assert(
    fc.property(happenings, goals, kinds, (course, goal, kind) => {
      const world = worldOf(kind);
      for (const h of course) happen(world, h);
      if (goal === 'withdrawn') world.wanted.withdrawn = true;
      else happen(world, { do: 'desire', state: goal as TaskState });
      settle(world);
      const { state, container } = world.observed;
      if (world.wanted.withdrawn) return world.forgotten && !['created', 'running', 'exited'].includes(container.kind);
      if (isTerminal(state)) {
        return container.kind !== 'running' && (world.wanted.desiredState !== 'remove' || container.kind !== 'exited');
      }
      if (world.wanted.desiredState === 'ready') return state === 'ready' || state === 'running';
      return state === 'running' && container.kind === 'running';
    }),
    { numRuns: 2000 },
  );
});
