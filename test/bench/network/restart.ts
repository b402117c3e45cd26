import { createNodeNetworksClient } from '@swarmd/agent';
import type { DataPathConfig, EndpointChange, NodeNetwork, NodeNetworks } from '@swarmd/model';
import { createLab, type Host } from '@swarmd/testkit';
import { quantile } from '../ha/system.js';
import type { BenchLine } from '../main.js';
import { endpointAt, serviceAt, timed } from './large-network.js';

const NETWORKS = 50;
const SERVICES = 10;
const ROUNDS = 5;
const PEERS = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];

/**
 * swarmd-net on a host with 50 networks of ten services with ten tasks each. Emits `network/restart/first` (s, from
 * telling it all of that until it is so in the kernel), and, each the median of five kills, from the start of the next
 * process: `network/restart/answers` (s, its socket answers) and `network/restart/confirmed` (s, an agent has told it all of
 * it once more and heard of each network that it is so); `network/restart/node` (s) is what an empty Node.js takes.
 */
export async function measureRestart(emit: (line: BenchLine) => void): Promise<void> {
  await using lab = await createLab({ hosts: [{ engine: false }] });
  const host = lab.hosts[0]!;
  const client = createNodeNetworksClient(host.path('/run/swarmd/net.sock'));
  const config = { nodeId: 'bench', clusterId: 'bench', addr: host.ip, port: 4789, peers: PEERS };
  await host.startSwarmdNet();
  emit({ name: 'network/restart/first', value: (await timed(() => tellAll(client, config))) / 1000, unit: 's' });
  const times = { answers: [] as number[], confirmed: [] as number[], node: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    await kill(host);
    times.node.push(await timed(() => host.run([process.execPath, '-e', '0'])));
    const began = performance.now();
    await host.startSwarmdNet();
    times.answers.push(performance.now() - began);
    await tellAll(client, config);
    times.confirmed.push(performance.now() - began);
  }
  for (const [name, list] of Object.entries(times)) {
    const sorted = list.sort((a, b) => a - b);
    emit({ name: `network/restart/${name}`, value: quantile(sorted, 0.5) / 1000, unit: 's' });
  }
}

/** What an agent does once it is connected. */
async function tellAll(client: NodeNetworks, config: DataPathConfig): Promise<void> {
  await client.configure(config);
  const networks = Array.from({ length: NETWORKS }, (_, n) => networkAt(n));
  await Promise.all(networks.map((network) => client.putNetwork(network)));
  await client.changeEndpoints(networks.map((network, n) => membersOf(network, n)));
  const { problems } = await client.status();
  if (problems.length > 0) throw new Error(`swarmd-net has problems: ${problems.join('; ')}`);
}

async function kill(host: Host): Promise<void> {
  const [pid] = (await host.run(['pgrep', '-f', 'dist/swarmd-net'])).trim().split('\n');
  await host.run(`kill -KILL ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.02; done`);
}

function networkAt(n: number): NodeNetwork {
  return {
    ...{ id: `bench${n}`.padEnd(12, 'x').padEnd(25, '0'), name: `bench${n}`, vni: 2 ** 20 + 1 + n },
    ...{ mtu: 1450, internal: false, ingress: false, attachable: false, addressBlocks: [] },
    subnets: [{ subnet: `10.${64 + n}.0.0/16`, gateway: `10.${64 + n}.0.1` }],
  };
}

function membersOf(network: NodeNetwork, n: number): EndpointChange {
  const prefix = `10.${64 + n}`;
  const tasks = Array.from({ length: SERVICES * 10 }, (_, task) => task);
  return {
    ...{ networkId: network.id, complete: true, removedEndpoints: [], removedServices: [] },
    endpoints: tasks.map((task) => endpointAt(prefix, task, task % SERVICES, PEERS[task % PEERS.length]!)),
    services: Array.from({ length: SERVICES }, (_, service) => serviceAt(prefix, service)),
  };
}
