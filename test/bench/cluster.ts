import { Agent } from 'node:http';
import { type Host, importBusyboxImage } from '@swarmd/testkit';
import Docker from 'dockerode';
import { createCluster, SWARMD_SOCKET } from '../e2e/support/cluster.js';
import { createDockerSwarm, formDockerSwarm } from '../e2e/support/docker-swarm.js';
import { createOrchestratedSystem } from './cluster/orchestrated.js';
import { calibrate, createRawSystem } from './cluster/raw.js';
import type { System, SystemName } from './cluster/system.js';
import type { BenchLine } from './main.js';

const HOSTS = 3;
/** Beside swarmd, which has Docker Swarm's usual port. */
const SWARM_PORT = 2399;
const SYSTEMS: readonly SystemName[] = ['raw', 'swarm', 'swarmd'];
/** Share of a service's tasks that an update replaces at a time. */
const UPDATE_SHARE = 0.1;
/** Calls in flight over all engines that the raw engine is tried with, and containers for one try. */
const CANDIDATES: readonly number[] = [3, 6, 12, 24];
const CALIBRATION_REPLICAS = 24;

/**
 * Containers on three real engines of this machine: by the raw engine API, by Docker Swarm and by swarmd, in turns in
 * one run. Emits, the best of the rounds each:
 * - seconds as `cluster/<create|update|remove>/<replicas>/<raw|swarm|swarmd>`; an update goes by a tenth of the replicas;
 * - ratios as `…/swarmd-vs-raw` and `…/swarmd-vs-swarm`;
 * - `cluster/update-one-by-one/<system>`, seconds a task where that tenth is one task;
 * - `cluster/raw-concurrency/<create|remove>`, how many calls in flight the raw engines did most with.
 *
 * Arguments: `sizes=10,60,120`, `systems=raw,swarm,swarmd`, `rounds=1`. Needs root.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  const options = parse(args);
  const withSwarmd = options.systems.includes('swarmd');
  await using cluster = await (withSwarmd ? createCluster({ hosts: HOSTS }) : createDockerSwarm({ hosts: HOSTS }));
  await Promise.all(cluster.hosts.map((host) => importBusyboxImage(host)));
  if (withSwarmd) await cluster.form();
  if (options.systems.includes('swarm')) await formDockerSwarm(cluster.hosts, SWARM_PORT);
  const systems = await makeSystems(options.systems, cluster.hosts, emit);
  for (const size of options.sizes) {
    const best = new Map<string, number>();
    for (let round = 0; round < options.rounds; round++) {
      // Each begins in turn: what warms up or wears out in a round hits all alike.
      for (let turn = 0; turn < systems.length; turn++) {
        const system = systems[(turn + round) % systems.length]!;
        for (const [phase, seconds] of await cycle(system, size)) {
          const name = `cluster/${phase}/${size}/${system.name}`;
          best.set(name, Math.min(seconds, best.get(name) ?? Infinity));
        }
      }
    }
    report(emit, best, size);
  }
}

interface Options {
  sizes: number[];
  systems: SystemName[];
  rounds: number;
}

function parse(args: readonly string[]): Options {
  const given = new Map(args.map((arg) => arg.split('=', 2) as [string, string | undefined]));
  const unknown = [...given.keys()].filter((key) => !['sizes', 'systems', 'rounds'].includes(key));
  if (unknown.length > 0) throw new Error(`not an argument of the cluster benchmark: ${unknown.join(', ')}`);
  const list = (key: string, otherwise: string): string[] => (given.get(key) ?? otherwise).split(',');
  return {
    sizes: list('sizes', '10,60,120').map(Number),
    systems: SYSTEMS.filter((name) => list('systems', SYSTEMS.join()).includes(name)),
    rounds: Number(given.get('rounds') ?? 1),
  };
}

async function makeSystems(
  names: readonly SystemName[],
  hosts: readonly Host[],
  emit: (line: BenchLine) => void,
): Promise<System[]> {
  const agent = new Agent({ keepAlive: true });
  const engines = hosts.map((host) => {
    const options = { socketPath: host.engineSocket, agent };
    return new Docker(options);
  });
  const manager = hosts[0]!;
  const systems: System[] = [];
  if (names.includes('raw')) {
    const concurrency = await calibrate(engines, CANDIDATES, CALIBRATION_REPLICAS);
    emit({ name: 'cluster/raw-concurrency/create', value: concurrency.create, unit: 'calls' });
    emit({ name: 'cluster/raw-concurrency/remove', value: concurrency.remove, unit: 'calls' });
    systems.push(createRawSystem(engines, concurrency));
  }
  if (names.includes('swarm')) systems.push(createOrchestratedSystem('swarm', manager.engineSocket, engines));
  if (names.includes('swarmd')) {
    systems.push(createOrchestratedSystem('swarmd', manager.path(SWARMD_SOCKET), engines));
  }
  return systems;
}

/** One life of a service, and a first creation and removal without an update between. Seconds by phase. */
async function cycle(system: System, replicas: number): Promise<[phase: string, seconds: number][]> {
  const timed = async (work: () => Promise<void>): Promise<number> => {
    const started = performance.now();
    await work();
    return (performance.now() - started) / 1000;
  };
  const create = await timed(() => system.create(replicas));
  const remove = await timed(() => system.remove());
  await system.create(replicas);
  const update = await timed(() => system.update(Math.max(1, Math.round(replicas * UPDATE_SHARE))));
  await system.remove();
  return [
    ['create', create],
    ['update', update],
    ['remove', remove],
  ];
}

function report(emit: (line: BenchLine) => void, seconds: ReadonlyMap<string, number>, size: number): void {
  for (const phase of ['create', 'update', 'remove']) {
    const of = (system: SystemName): number | undefined => seconds.get(`cluster/${phase}/${size}/${system}`);
    for (const system of SYSTEMS) {
      const value = of(system);
      if (value === undefined) continue;
      emit({ name: `cluster/${phase}/${size}/${system}`, value, unit: 's' });
      const oneByOne = phase === 'update' && size * UPDATE_SHARE <= 1;
      if (oneByOne) emit({ name: `cluster/update-one-by-one/${system}`, value: value / size, unit: 's' });
    }
    const own = of('swarmd');
    for (const other of ['raw', 'swarm'] as const) {
      const value = of(other);
      if (own === undefined || value === undefined) continue;
      emit({ name: `cluster/${phase}/${size}/swarmd-vs-${other}`, value: own / value, unit: 'ratio' });
    }
  }
}
