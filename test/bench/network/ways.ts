import type { Host } from '@swarmd/testkit';
import type { Cluster } from '../../e2e/support/cluster.js';
import { waitFor } from '../../e2e/support/wait.js';
import { echoServer, type Overlay } from './overlays.js';

const PORTS = { iperf: 5201, echo: 8080 };
/** Beside what is published. */
const HOST_PORTS = { iperf: 5301, echo: 8180 };
const SERVE = 'PORT=$2 "$0" "$1" & exec iperf3 -s -p $3';

/** A way from a client to a server. */
export interface Way {
  /** `underlay`, `overlay`, `vip`, `outside`, `mesh` or `swarm`. */
  readonly name: string;
  /** The way without any overlay from the same client: figures are divided by its. */
  readonly reference: 'underlay' | 'outside';
  /** Address of the server, and ports of its `iperf3 -s` and its `echo-server.mjs`. */
  readonly address: string;
  readonly iperf: number;
  readonly echo: number;
  /** Runs a command of this machine as the client; rejects unless it returns 0. */
  run(argv: readonly string[]): Promise<string>;
}

/**
 * Starts a server on the first host and clients on the second one, outside of containers and in a service of each system,
 * and resolves once all ways lead there. `outside` is a machine that is no host.
 */
export async function openWays(cluster: Cluster, overlays: readonly Overlay[]): Promise<Way[]> {
  const { lab, hosts } = cluster;
  const [target, source] = hosts as [Host, Host];
  const serving = ['sh', '-c', SERVE, process.execPath, echoServer];
  await target.launch([...serving, String(HOST_PORTS.echo), String(HOST_PORTS.iperf)], '/dev/null');
  const outside = async (argv: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await lab.client(argv, { timeoutMs: 120_000 });
    if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code}: ${stderr}${stdout}`);
    return stdout;
  };
  const onHost = (argv: readonly string[]): Promise<string> => source.run(argv, { timeoutMs: 120_000 });
  const ways: Way[] = [
    { name: 'underlay', reference: 'underlay', address: target.ip, ...HOST_PORTS, run: onHost },
    { name: 'outside', reference: 'outside', address: target.ip, ...HOST_PORTS, run: outside },
  ];
  for (const overlay of overlays) {
    const command = [...serving, String(PORTS.echo), String(PORTS.iperf)];
    const publish = overlay.virtualIps ? { [PORTS.iperf]: PORTS.iperf, [PORTS.echo]: PORTS.echo } : {};
    await overlay.create(`target-${overlay.name}`, { command, replicas: 1, on: target.name, publish });
    await overlay.create(`client-${overlay.name}`, { command: ['sleep', 'infinity'], replicas: 'global' });
    const [task] = await overlay.running(`target-${overlay.name}`, 1);
    await overlay.running(`client-${overlay.name}`, hosts.length);
    const inside = async (client: string) => {
      const id = await overlay.container(source, client);
      const run = (argv: readonly string[]): Promise<string> => onHost(['docker', 'exec', id, ...argv]);
      return { reference: 'underlay' as const, ...PORTS, run };
    };
    const own = overlay.name === 'swarmd';
    const direct = await inside(`client-${overlay.name}`);
    ways.push({ name: own ? 'overlay' : 'swarm', address: overlay.addressOf(task!)!, ...direct });
    if (!own) continue;
    // Another client: the server would see both ways come from the same ports, and those of the one may still rest there.
    await overlay.create('client-vip', { command: ['sleep', 'infinity'], replicas: 1, on: source.name });
    await overlay.running('client-vip', 1);
    const virtualIp = await overlay.virtualIp(`target-${overlay.name}`);
    ways.push({ name: 'vip', address: virtualIp, ...(await inside('client-vip')) });
    ways.push({ name: 'mesh', reference: 'outside', address: source.ip, ...PORTS, run: outside });
  }
  for (const way of ways) {
    const asking = ['/usr/bin/curl', '-sf', '--max-time', '3', `http://${way.address}:${way.echo}/`];
    let seen = '';
    const answers = (): Promise<boolean> =>
      way.run(asking).then(
        () => true,
        (error: Error) => {
          seen = error.message;
          return false;
        },
      );
    await waitFor(`the way ${way.name} leads to its server`, answers, { describe: () => seen });
  }
  return ways;
}

/**
 * Measures all ways in turn, `rounds` times; each begins in turn. Resolves with the values by the way's name, in the order
 * of the rounds, so that those of one round can be compared.
 */
export async function inTurns<T>(
  ways: readonly Way[],
  rounds: number,
  measure: (way: Way) => Promise<T>,
): Promise<Map<string, T[]>> {
  const values = new Map<string, T[]>(ways.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < ways.length; turn++) {
      const way = ways[(turn + round) % ways.length]!;
      values.get(way.name)!.push(await measure(way));
    }
  }
  return values;
}

/** Median of values in any order. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/** Median of the quotients of two lists, value by value. */
export function medianRatio(values: readonly number[], others: readonly number[]): number {
  return median(values.map((value, index) => value / others[index]!));
}
