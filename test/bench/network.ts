import { importBusyboxImage } from '@swarmd/testkit';
import { createCluster } from '../e2e/support/cluster.js';
import { formDockerSwarm } from '../e2e/support/docker-swarm.js';
import { run as measureManagers } from './endpoints.js';
import type { BenchLine } from './main.js';
import { measureAttach } from './network/attach.js';
import { measureKernel } from './network/kernel.js';
import { swarmdOverlay, swarmOverlay } from './network/overlays.js';
import { measureRestart } from './network/restart.js';
import { measureRequests, measureThroughput } from './network/traffic.js';
import { measureVisible } from './network/visible.js';
import { openWays } from './network/ways.js';

const HOSTS = 3;
/** Beside swarmd, which has Docker Swarm's usual ports. */
const SWARM_PORT = 2399;
const SWARM_DATA_PATH_PORT = 4790;
const LAB_PARTS = ['throughput', 'requests', 'visible', 'attach'] as const;
/** swarmd is always there. */
const SYSTEMS = ['swarmd', 'swarm'] as const;
const PARTS = [...LAB_PARTS, 'kernel', 'restart', 'managers'] as const;

/**
 * Overlay networks. On three real hosts, with a Docker Swarm on the same engines: what `measureThroughput`,
 * `measureRequests`, `measureVisible` and `measureAttach` tell; by itself what `measureKernel` and `measureRestart` do; and
 * of the managers' side what the benchmark `endpoints` does.
 *
 * Arguments: `parts=throughput,requests,visible,attach,kernel,restart,managers`, `systems=swarmd,swarm`, `rounds=21` (of
 * traffic), `changes=20` (of `visible` and `attach`), `services=10,100,1000` (of `kernel`). Needs root.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  const options = parse(args);
  const wanted = (part: (typeof PARTS)[number]): boolean => options.parts.includes(part);
  if (wanted('kernel')) await measureKernel(options.services, emit);
  if (wanted('restart')) await measureRestart(emit);
  if (wanted('managers')) await measureManagers(emit, []);
  if (LAB_PARTS.some(wanted)) await measureOnHosts(options, emit);
}

async function measureOnHosts(options: Options, emit: (line: BenchLine) => void): Promise<void> {
  const { rounds, changes, parts } = options;
  await using cluster = await createCluster({ hosts: HOSTS });
  const { hosts } = cluster;
  await Promise.all(hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await cluster.form();
  const overlays = [await swarmdOverlay(cluster)];
  if (options.systems.includes('swarm')) {
    await formDockerSwarm(hosts, SWARM_PORT, SWARM_DATA_PATH_PORT);
    overlays.push(await swarmOverlay(cluster));
  }
  const ways = await openWays(cluster, overlays);
  if (parts.includes('throughput')) await measureThroughput(ways, rounds, emit);
  if (parts.includes('requests')) await measureRequests(ways, rounds, emit);
  if (parts.includes('attach')) await measureAttach(hosts[1]!, overlays, changes, emit);
  if (parts.includes('visible')) await measureVisible(hosts, overlays, changes, emit);
}

interface Options {
  parts: readonly (typeof PARTS)[number][];
  systems: readonly string[];
  rounds: number;
  changes: number;
  services: readonly number[];
}

function parse(args: readonly string[]): Options {
  const given = new Map(args.map((arg) => arg.split('=', 2) as [string, string | undefined]));
  const unknown = [...given.keys()].filter(
    (key) => !['parts', 'systems', 'rounds', 'changes', 'services'].includes(key),
  );
  if (unknown.length > 0) throw new Error(`not an argument of the network benchmark: ${unknown.join(', ')}`);
  const list = (key: string, otherwise: string): string[] => (given.get(key) ?? otherwise).split(',');
  const some = <T extends string>(key: string, allowed: readonly T[]): T[] => {
    const wrong = list(key, allowed.join()).filter((name) => !allowed.some((each) => each === name));
    if (wrong.length > 0) throw new Error(`${key}: not ${wrong.join(', ')}, but some of ${allowed.join(', ')}`);
    return allowed.filter((name) => list(key, allowed.join()).includes(name));
  };
  return {
    parts: some('parts', PARTS),
    systems: some('systems', SYSTEMS),
    rounds: Number(given.get('rounds') ?? 21),
    changes: Number(given.get('changes') ?? 20),
    services: list('services', '10,100,1000').map(Number),
  };
}
