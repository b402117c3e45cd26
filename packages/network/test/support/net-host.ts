import { createNodeNetworksClient } from '@swarmd/agent';
import type { NodeNetwork, NodeNetworks } from '@swarmd/model';
import type { Host } from '@swarmd/testkit';

/** The first address of a network is its gateway's; containers take theirs from the upper half of the /24. */
export function aNetwork(id: string, subnet: string, more: Partial<NodeNetwork> = {}): NodeNetwork {
  const start = subnet.replace(/\.0\/24$/, '');
  return {
    ...{ id, name: `net-${id}`, vni: 2 ** 20 + id.charCodeAt(0), mtu: 1450, internal: false, ingress: false },
    attachable: true,
    subnets: [{ subnet, gateway: `${start}.1` }],
    addressBlocks: [`${start}.128/25`],
    ...more,
  };
}

/** swarmd-net on a test host. */
export interface NetOnHost {
  client: NodeNetworks;
  /** Starts it; resolves when it answers. */
  start(): Promise<void>;
  /** Kills it, or tells it to stop, and waits until it is gone. */
  stop(signal: 'KILL' | 'TERM'): Promise<void>;
  /** Its log, and that of its plane. */
  logFile: string;
}

/** `program`: the compiled file that runs it, with arguments that go before the flags. */
export function netOn(host: Host, program: readonly string[]): NetOnHost {
  const logFile = `${host.state.directory}/swarmd-net.log`;
  const client = createNodeNetworksClient(host.path('/run/swarmd/net.sock'));
  return {
    client,
    logFile,
    async start() {
      const script = 'echo $$ >/run/net.pid; exec "$@"';
      await host.launch(['sh', '-c', script, 'net', process.execPath, ...program, '--log-level', 'debug'], logFile);
      await answering(client);
    },
    async stop(signal) {
      await host.run(
        `pid=$(cat /run/net.pid); kill -${signal} $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done`,
      );
    },
  };
}

async function answering(client: NodeNetworks): Promise<void> {
  const deadline = AbortSignal.timeout(20_000);
  for (;;) {
    const answer = await client.status(deadline).catch(() => undefined);
    if (answer !== undefined) return;
    deadline.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Creates the engine's network for one of the cluster's, as the agent does. */
export function createEngineNetwork(host: Host, network: NodeNetwork, name = network.name): Promise<string> {
  const pools = network.subnets.flatMap(({ subnet, gateway }) => ['--subnet', subnet, '--gateway', gateway]);
  const six = network.subnets.some(({ subnet }) => subnet.includes(':')) ? ['--ipv6'] : [];
  return host.run([
    ...['docker', 'network', 'create', '--driver', 'swarmd', '--ipam-driver', 'swarmd'],
    ...['--opt', `swarmd.network=${network.id}`, '--ipam-opt', `swarmd.network=${network.id}`],
    ...[...pools, ...six, ...(network.internal ? ['--internal'] : []), name],
  ]);
}

/** A container's address on a network, without prefix length. */
export async function addressOf(host: Host, container: string, network: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
  return (await host.run(['docker', 'inspect', '-f', format, container])).trim();
}
