import type Docker from 'dockerode';
import { COMMAND, GRACE_SECONDS, IMAGE, type System } from './system.js';

/** How many calls are in flight over all engines. */
export interface RawConcurrency {
  create: number;
  remove: number;
}

const LABEL = 'swarmd.bench.raw';

/** The engines driven directly, without anything that decides or remembers: the least that a container can cost. */
export function createRawSystem(engines: readonly Docker[], concurrency: RawConcurrency): System {
  let slots: { engine: Docker; container: Docker.Container }[] = [];
  return {
    name: 'raw',
    async create(replicas) {
      const wanted = Array.from({ length: replicas }, (_, index) => engines[index % engines.length]!);
      slots = await inParallel(wanted, concurrency.create, async (engine) => ({
        engine,
        container: await startContainer(engine),
      }));
    },
    async update(parallelism) {
      await inParallel(slots, parallelism, async (slot) => {
        await slot.container.stop({ t: GRACE_SECONDS });
        slot.container = await startContainer(slot.engine);
      });
    },
    async remove() {
      const filters = { label: [LABEL] };
      const lists = await Promise.all(engines.map((engine) => engine.listContainers({ all: true, filters })));
      // One container of each engine in turn, so that none of them idles at the end.
      const all = lists.flatMap((list, engine) => list.map(({ Id }, order) => ({ Id, engine, order })));
      all.sort((a, b) => a.order - b.order || a.engine - b.engine);
      await inParallel(all, concurrency.remove, ({ Id, engine }) =>
        engines[engine]!.getContainer(Id).remove({ force: true }),
      );
      slots = [];
    },
  };
}

/** Finds how many calls in flight these engines do most with, by trying some counts with `replicas` containers. */
export async function calibrate(
  engines: readonly Docker[],
  candidates: readonly number[],
  replicas: number,
): Promise<RawConcurrency> {
  const best = { create: 0, remove: 0, createMs: Infinity, removeMs: Infinity };
  for (const candidate of candidates) {
    const system = createRawSystem(engines, { create: candidate, remove: candidate });
    const started = performance.now();
    await system.create(replicas);
    const created = performance.now();
    await system.remove();
    const removed = performance.now();
    if (created - started < best.createMs) Object.assign(best, { create: candidate, createMs: created - started });
    if (removed - created < best.removeMs) Object.assign(best, { remove: candidate, removeMs: removed - created });
  }
  return { create: best.create, remove: best.remove };
}

async function startContainer(engine: Docker): Promise<Docker.Container> {
  const container = await engine.createContainer({
    Image: IMAGE,
    Cmd: [...COMMAND],
    Labels: { [LABEL]: '' },
    HostConfig: { NetworkMode: 'default' },
  });
  await container.start();
  return container;
}

async function inParallel<In, Out>(
  items: readonly In[],
  limit: number,
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
