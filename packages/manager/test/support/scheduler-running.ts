import { setImmediate as turn } from 'node:timers/promises';
import type { Store } from '@swarmd/model';
import type { Test } from 'tap';
import { type Scheduler, startScheduler } from '../../src/scheduler/scheduler-loop.js';
import { openWorld, silent, until, type World } from './scheduler-world.js';

/** A {@link World} with the scheduler at work. */
export interface Running extends World {
  scheduler: Scheduler;
  /** Resolves with the task once it is in `state`. */
  reaches(id: string, state: string): Promise<ReturnType<World['task']>>;
  /** Resolves once the task's explanation is `err`. */
  explained(id: string, err: string): Promise<void>;
}

/** Starts a scheduler on an empty world; both end with the test. `over.store` may stand between the two. */
export async function startWorld(t: Test, over: { store?: (store: Store) => Store } = {}): Promise<Running> {
  const world = await openWorld();
  const store = over.store?.(world.store) ?? world.store;
  const scheduler = startScheduler({ store, clock: world.clock, logger: silent });
  t.teardown(async () => {
    await scheduler.stop();
    await world.store.close();
  });
  return {
    ...world,
    scheduler,
    reaches: async (id, state) => {
      await until(world.store, () => world.view.get('task', id)?.Status.State === state);
      return world.task(id);
    },
    explained: (id, err) => until(world.store, () => world.view.get('task', id)?.Status.Err === err),
  };
}

/** Lets everything run that is under way: the log is in memory, so that turns of the event loop are all it needs. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}
