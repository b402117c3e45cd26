import t from 'tap';
import type { ApiService } from '../src/client/api-types.js';
import { ProgressDisplay } from '../src/progress/display.js';
import type { ServiceProgress } from '../src/progress/service-progress.js';
import { type Expectation, judge, type Since } from '../src/progress/verdict.js';
import { at, replicas, service, task } from './support/observed.js';
import { CapturedScreen } from './support/swarmctl.js';

const running = at(replicas(1), task(1, 'running'));
const starting = at(replicas(1), task(1, 'starting'));
const withStatus = (State: string, StartedAt = 'now'): ApiService =>
  service({ Replicated: { Replicas: 1 } }, { UpdateStatus: { State, StartedAt, Message: 'told' } });
const ended = at(replicas(1), task(1, 'failed', { DesiredState: 'shutdown' }));
const globalUpdate = service({ Global: {} }, { UpdateStatus: { State: 'updating', StartedAt: 'now' } });
const monitored = service({ Replicated: { Replicas: 1 } });
monitored.Spec = { ...monitored.Spec, UpdateConfig: { Monitor: 2e9 } };

const verdicts: [
  name: string,
  of: ApiService,
  progress: ServiceProgress,
  times: Since & { nowMs: number },
  expectation: Expectation,
  verdict: object,
][] = [
  [
    'waits while tasks start',
    replicas(1),
    starting,
    { sinceMs: undefined, nowMs: 0 },
    {},
    { kind: 'waiting', note: undefined, sinceMs: undefined },
  ],
  [
    'watches tasks that run',
    replicas(1),
    running,
    { sinceMs: undefined, nowMs: 100 },
    {},
    { kind: 'waiting', sinceMs: 100, note: /^Waiting 6 seconds/ },
  ],
  [
    'watches as long as the service says',
    monitored,
    running,
    { sinceMs: 0, nowMs: 1999 },
    {},
    { kind: 'waiting', note: /^Waiting 1 seconds/ },
  ],
  [
    'ends when they were stable for that long',
    monitored,
    running,
    { sinceMs: 0, nowMs: 2000 },
    {},
    { kind: 'converged' },
  ],
  [
    'notices that one failed meanwhile',
    replicas(1),
    starting,
    { sinceMs: 0, nowMs: 100 },
    {},
    { kind: 'waiting', note: 'Detected task failure', sinceMs: undefined },
  ],
  [
    'does not watch what was not changed',
    replicas(1),
    running,
    { sinceMs: undefined, nowMs: 0 },
    { immediate: true },
    { kind: 'converged' },
  ],
  [
    'ends with a finished update',
    withStatus('completed'),
    running,
    { sinceMs: undefined, nowMs: 0 },
    {},
    { kind: 'converged' },
  ],
  [
    'fails with a paused update',
    withStatus('paused'),
    starting,
    { sinceMs: undefined, nowMs: 0 },
    {},
    { kind: 'failed', message: 'service update paused: told' },
  ],
  [
    'fails with an update that was rolled back',
    withStatus('rollback_completed'),
    running,
    { sinceMs: undefined, nowMs: 0 },
    {},
    { kind: 'failed', message: 'service update rolled back: told' },
  ],
  [
    'is content with a rollback that was asked for',
    withStatus('rollback_completed'),
    running,
    { sinceMs: undefined, nowMs: 0 },
    { rollback: true },
    { kind: 'converged' },
  ],
  [
    'takes no notice of an earlier update',
    withStatus('rollback_completed', 'then'),
    running,
    { sinceMs: undefined, nowMs: 5 },
    { staleUpdate: 'then' },
    { kind: 'waiting', sinceMs: 5 },
  ],
  [
    'makes sure that nothing more will come',
    replicas(1),
    ended,
    { sinceMs: undefined, nowMs: 5 },
    {},
    { kind: 'waiting', hopelessSinceMs: 5 },
  ],
  [
    'fails when nothing more has come',
    replicas(1),
    ended,
    { sinceMs: undefined, hopelessSinceMs: 0, nowMs: 3000 },
    {},
    { kind: 'failed', message: /ended for good/ },
  ],
  [
    'begins anew once something is under way again',
    replicas(1),
    starting,
    { sinceMs: undefined, hopelessSinceMs: 0, nowMs: 3000 },
    {},
    { kind: 'waiting', hopelessSinceMs: undefined },
  ],
  [
    'leaves it to an update under way to say how it went',
    withStatus('updating'),
    ended,
    { sinceMs: undefined, hopelessSinceMs: 0, nowMs: 60_000 },
    {},
    { kind: 'waiting', hopelessSinceMs: undefined },
  ],
  [
    'leaves it to a rollback under way, too',
    withStatus('rollback_started'),
    ended,
    { sinceMs: undefined, hopelessSinceMs: 0, nowMs: 60_000 },
    { rollback: true },
    { kind: 'waiting', hopelessSinceMs: undefined },
  ],
  [
    'waits for an update that goes from node to node',
    globalUpdate,
    at(globalUpdate, task(0, 'running')),
    { sinceMs: 0, nowMs: 60_000 },
    {},
    { kind: 'waiting' },
  ],
];

for (const [name, of, progress, times, expectation, verdict] of verdicts) {
  t.test(`verdict › ${name}`, async (t) => t.match(judge(of, progress, expectation, times), verdict));
}

t.test('display › prints a line when its words change, where nobody looks', async (t) => {
  const screen = new CapturedScreen();
  const display = new ProgressDisplay(screen);
  display.show([
    { id: 'a', text: 'new' },
    { id: 'b', text: '' },
  ]);
  display.show([
    { id: 'a', text: 'new' },
    { id: 'b', text: 'ready', fraction: 0.5 },
  ]);
  display.show([
    { id: 'a', text: 'running' },
    { id: 'b', text: 'ready' },
  ]);
  t.equal(screen.text, 'a: new\nb: ready\na: running\n');
});

t.test('display › draws over itself on a terminal, within its width', async (t) => {
  const screen = new CapturedScreen({ isTerminal: true, columns: 30 });
  const display = new ProgressDisplay(screen);
  display.show([
    { id: '1/1', text: 'ready', fraction: 0.5 },
    { id: 'verify', text: 'x'.repeat(40) },
  ]);
  const first = screen.text;
  t.equal(first, `\u001b[2K\r1/1: ready     [======>     ]\n\u001b[2K\rverify: ${'x'.repeat(21)}…\n\u001b[J`);
  display.show([
    { id: '1/1', text: 'ready', fraction: 0.5 },
    { id: 'verify', text: 'x'.repeat(40) },
  ]);
  t.equal(screen.text, first, 'nothing new, nothing drawn');
  display.show([{ id: '1/1', text: 'running', fraction: 1 }]);
  t.equal(screen.text.slice(first.length), '\u001b[2A\u001b[2K\r1/1: running   [============]\n\u001b[J');
});
