import {
  createControl,
  createDispatcher,
  type Dispatcher,
  explainService,
  localReports,
  startAbsentManagers,
  startAllocator,
  startConstraintEnforcer,
  startNodeLoop,
  startOrchestrator,
  startReaper,
  startScheduler,
} from '@swarmd/manager';
import { type Clock, type Control, type Random, type Store, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { ownedStore, type Writer } from './owners.js';
import type { ServerCall } from './server-call.js';

/** A manager in the simulation: the real loops, control and dispatcher on one store. */
export interface SimulatedManager {
  control: Control;
  serve(end: ServerCall): void;
  /** Has every loop look at everything again. */
  resync(): void;
  /** Stops the loops and starts new ones on the same store; sessions go on. */
  renewLoops(): Promise<void>;
  stop(): Promise<void>;
}

/** What a manager is started with. */
export interface ManagerWorld {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Whether loops look at everything once a minute, as they really do; without, only hints move them. */
  resyncs: boolean;
  blame(problem: string): void;
}

const STARTERS = [
  ['node-loop', startNodeLoop],
  ['orchestrator', startOrchestrator],
  ['allocator', startAllocator],
  ['scheduler', startScheduler],
  ['enforcer', startConstraintEnforcer],
  ['reaper', startReaper],
] as const;

/** How often loops look at everything again. */
const RESYNC_MS = 60_000;

/** Starts a manager; resolves once it serves. */
export async function startManager(world: ManagerWorld): Promise<SimulatedManager> {
  const { store, clock, random, logger, blame } = world;
  const as = (writer: Writer): Store => ownedStore(store, writer, blame);
  const deps = { clock, random, logger };
  const managerId = 'manager';
  const mine = { ...deps, store: as('dispatcher') };
  const dispatcher = createDispatcher({ ...mine, managerId, reports: localReports(mine) });
  const startLoops = (): { stop(): Promise<void>; resync(): void }[] =>
    STARTERS.map(([writer, start]) => {
      // A resync is planned while a loop starts, and once more whenever it happens.
      let starting = true;
      const quiet: Clock = {
        now: clock.now,
        monotonic: clock.monotonic,
        after: (ms, fn) => (starting && ms === RESYNC_MS ? () => {} : clock.after(ms, fn)),
      };
      const loop = start({ ...deps, store: as(writer), clock: world.resyncs ? clock : quiet });
      starting = false;
      return loop;
    });
  let loops: ReturnType<typeof startLoops> = [];
  const stopLoops = async (): Promise<void> => {
    const stopping = loops;
    loops = [];
    for (const loop of stopping) await loop.stop();
  };
  await dispatcher.start();
  const alone = { has: () => false, onChange: () => () => {} };
  const absent = startAbsentManagers({ ...mine, managerId, attached: alone });
  loops = startLoops();
  return {
    control: createControl({
      ...deps,
      store: as('control'),
      logSource: dispatcher.logs,
      explain: (view, serviceId) => explainService(view, serviceId, clock.now()),
      tokens: {
        rotateJoinToken: () => {
          throw new SwarmdError('unimplemented', 'no tokens in a simulation');
        },
      },
    }),
    serve: (end) => dispatcher.service.session(end as unknown as Parameters<Dispatcher['service']['session']>[0]),
    resync: () => {
      for (const loop of loops) loop.resync();
    },
    renewLoops: async () => {
      await stopLoops();
      loops = startLoops();
    },
    stop: async () => {
      await stopLoops();
      await absent.stop();
      await dispatcher.stop();
    },
  };
}
