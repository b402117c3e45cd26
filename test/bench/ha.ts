import { createLab, importBusyboxImage } from '@swarmd/testkit';
import { measureCatchUp } from './ha/catch-up.js';
import { dockerSwarm } from './ha/docker-swarm.js';
import { measureFailover } from './ha/failover.js';
import { swarmdSystem } from './ha/swarmd.js';
import type { HaSystem } from './ha/system.js';
import { measureWrites } from './ha/write-latency.js';
import type { BenchLine } from './main.js';

const MANAGERS = 3;
const PARTS = ['writes', 'failover', 'catch-up'] as const;
const SYSTEMS = ['swarm', 'swarmd'] as const;

/**
 * Three managers on three real hosts of this machine, and a fourth that joins: swarmd and Docker Swarm one after the
 * other on the same hosts in one run. Emits the figures of `measureWrites`, `measureFailover` and `measureCatchUp`, and
 * each one's ratio as `…/swarmd-vs-swarm`.
 *
 * Arguments: `systems=swarm,swarmd`, `parts=writes,failover,catch-up`, `writes=200`, `kills=20`, `tasks=100000`. Needs root.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  const options = parse(args);
  await using lab = await createLab({ hosts: MANAGERS + 1 });
  await Promise.all(lab.hosts.map((host) => importBusyboxImage(host)));
  const figures = new Map<string, BenchLine>();
  const keep = (line: BenchLine): void => {
    figures.set(line.name, line);
    emit(line);
  };
  for (const name of options.systems) {
    const system = name === 'swarm' ? dockerSwarm(lab.hosts) : swarmdSystem(lab);
    try {
      await system.form(MANAGERS);
      await measure(system, options, keep);
    } finally {
      await system.stop();
    }
  }
  for (const { name, value } of figures.values()) {
    if (!name.endsWith('/swarmd')) continue;
    const other = figures.get(name.replace(/swarmd$/, 'swarm'));
    if (other !== undefined) emit({ name: `${name}-vs-swarm`, value: value / other.value, unit: 'ratio' });
  }
}

async function measure(system: HaSystem, options: Options, emit: (line: BenchLine) => void): Promise<void> {
  const managers = system.hosts.slice(0, MANAGERS);
  if (options.parts.includes('writes')) await measureWrites(system, managers, options.writes, emit);
  if (options.parts.includes('failover')) await measureFailover(system, managers, options.kills, emit);
  if (options.parts.includes('catch-up')) {
    await measureCatchUp(system, managers, system.hosts[MANAGERS]!, options.tasks, emit);
  }
}

interface Options {
  systems: readonly (typeof SYSTEMS)[number][];
  parts: readonly (typeof PARTS)[number][];
  writes: number;
  kills: number;
  tasks: number;
}

function parse(args: readonly string[]): Options {
  const given = new Map(args.map((arg) => arg.split('=', 2) as [string, string | undefined]));
  const known = ['systems', 'parts', 'writes', 'kills', 'tasks'];
  const unknown = [...given.keys()].filter((key) => !known.includes(key));
  if (unknown.length > 0) throw new Error(`not an argument of the ha benchmark: ${unknown.join(', ')}`);
  const list = (key: string, otherwise: readonly string[]): string[] => (given.get(key) ?? otherwise.join()).split(',');
  return {
    systems: SYSTEMS.filter((name) => list('systems', SYSTEMS).includes(name)),
    parts: PARTS.filter((name) => list('parts', PARTS).includes(name)),
    writes: Number(given.get('writes') ?? 200),
    kills: Number(given.get('kills') ?? 20),
    tasks: Number(given.get('tasks') ?? 100_000),
  };
}
