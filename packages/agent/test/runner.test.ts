import type { Clock, TaskStatus } from '@swarmd/model';
import { pino } from 'pino';
import t from 'tap';
import type { Inspection } from '../src/engine/container-facts.js';
import type { TaskEngine } from '../src/engine/task-engine.js';
import type { AssignedSpec, Assignment } from '../src/task/assignment.js';
import { TaskRunner } from '../src/task/runner.js';

const assignment: Assignment = {
  ...{ id: 't1', serviceId: 's1', serviceName: 'web', specVersion: 1, slot: 1, desiredState: 'running' },
  ...{ ports: [], genericResources: [], nodeHostname: 'h1', ended: false },
  networks: [{ Network: { ID: 'n1' }, Addresses: ['10.0.0.2/24'] } as unknown as Assignment['networks'][0]],
};
const spec: AssignedSpec = { serviceId: 's1', specVersion: 1, spec: {} as AssignedSpec['spec'], registryAuth: '' };
const inspection: Inspection = {
  ...{ id: 'c1', facts: { kind: 'running', id: 'c1', health: 'none' }, status: { ContainerID: 'c1' } },
  ...{ ports: [], addresses: {}, labels: {} },
};

/** A clock that is a little later each time it is read, and whose timers fire when they are told to. */
class RestlessClock implements Clock {
  #now = 0;
  readonly #timers = new Set<() => void>();
  now(): number {
    return this.monotonic();
  }
  monotonic(): number {
    this.#now += 0.001;
    return this.#now;
  }
  after(_: number, fn: () => void): () => void {
    this.#timers.add(fn);
    return () => this.#timers.delete(fn);
  }
  fire(): void {
    const due = [...this.#timers];
    this.#timers.clear();
    for (const fn of due) fn();
  }
}

t.test('runner › a task stops once its networks on this node are as managers say, not before', async (t) => {
  const clock = new RestlessClock();
  let behind = true;
  let stops = 0;
  const engine = {
    inspect: async () => inspection,
    release: async () => {},
    stop: async () => {
      stops++;
    },
  } as unknown as TaskEngine;
  const status: TaskStatus = { Timestamp: '', State: 'running', Message: '', ContainerStatus: { ContainerID: 'c1' } };
  const runner = new TaskRunner(
    assignment,
    spec,
    {
      ...{ engine, clock, logger: pino({ level: 'silent' }) },
      ...{ engineUp: () => true, networksBehind: () => behind, containerName: () => 'c1', missing: () => [] },
      ...{ onStatus: () => {}, onForgotten: () => {} },
    },
    status,
  );
  t.teardown(() => runner.close());
  runner.listed('c1');
  while (runner.container.kind !== 'running') await new Promise((resolve) => setImmediate(resolve));
  runner.assign({ ...assignment, desiredState: 'shutdown' }, spec);
  runner.settled('draining');
  for (let looks = 0; looks < 5; looks++) clock.fire();
  t.equal(stops, 0, 'others know, but it would still be led to from here');
  behind = false;
  clock.fire();
  t.equal(stops, 1);
});
