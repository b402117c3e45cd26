import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetworkEndpoint, NodeNetwork } from '@swarmd/model';
import { createNamespaces, createNetworkPlane, type NetworkMembers } from '@swarmd/network';
import { pino } from 'pino';
import { quantile } from '../ha/system.js';
import type { BenchLine } from '../main.js';
import { endpointAt, serviceAt, timed } from './large-network.js';

const PEERS = 1_000;
const CHANGES = 30;
const OWN = '198.19.255.1';

const network: NodeNetwork = {
  id: 'bench'.padEnd(25, '0'),
  name: 'bench',
  vni: 2 ** 20 + 1,
  subnets: [{ subnet: '10.64.0.0/16', gateway: '10.64.0.1' }],
  mtu: 1450,
  internal: false,
  ingress: false,
  attachable: false,
  addressBlocks: [],
};

/**
 * The kernel's side of one network on one node of 1,001: services of ten tasks each with a virtual IP, tasks spread over
 * all nodes. Emits `network/kernel/<services>/load` (ms for all of it at once) and `/change` (ms, median: a task is
 * replaced by one with another address on another node), and as `network/kernel/growth` the ratio of `/change` between
 * the last size and the first.
 */
export async function measureKernel(sizes: readonly number[], emit: (line: BenchLine) => void): Promise<void> {
  const medians: number[] = [];
  for (const size of sizes) {
    const { load, change } = await measureSize(size);
    emit({ name: `network/kernel/${size}/load`, value: load, unit: 'ms' });
    emit({ name: `network/kernel/${size}/change`, value: change, unit: 'ms' });
    medians.push(change);
  }
  if (medians.length > 1) emit({ name: 'network/kernel/growth', value: medians.at(-1)! / medians[0]!, unit: 'ratio' });
}

async function measureSize(services: number): Promise<{ load: number; change: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'swarmd-bench-net-'));
  // What plays the host is no namespace of the plane's: that removes only its own.
  const bed = createNamespaces(join(directory, 'bed'));
  const namespaces = createNamespaces(join(directory, 'networks'));
  bed.create('host');
  const logger = pino({ level: 'silent' });
  const plane = createNetworkPlane({ namespaces, logger, hostNamespace: bed.pathOf('host') });
  try {
    const peers = Array.from({ length: PEERS }, (_, node) => nodeAddress(node));
    await plane.configure({ nodeId: 'bench', clusterId: 'bench', addr: OWN, port: 4789, peers });
    await plane.ensure(network);
    const tasks = Array.from({ length: services * 10 }, (_, task) => taskAt(task, task % services, task));
    const apply = (): Promise<number> => timed(() => plane.apply(network, membersOf(tasks, services)));
    const load = await apply();
    const times: number[] = [];
    for (let round = 0; round < CHANGES; round++) {
      const place = (round * 7) % tasks.length;
      tasks[place] = taskAt(services * 10 + round, place % services, place + 1 + round);
      times.push(await apply());
    }
    const sorted = times.sort((a, b) => a - b);
    return { load, change: quantile(sorted, 0.5) };
  } finally {
    await plane.reset();
    bed.removeAll();
    rmSync(directory, { recursive: true });
  }
}

function taskAt(task: number, service: number, node: number): NetworkEndpoint {
  return endpointAt('10.64', task, service, nodeAddress(node % PEERS));
}

function membersOf(tasks: readonly NetworkEndpoint[], services: number): NetworkMembers {
  return {
    endpoints: new Map(tasks.map((task) => [task.id, task])),
    services: new Map(
      Array.from({ length: services }, (_, n) => serviceAt('10.64', n)).map((service) => [service.id, service]),
    ),
  };
}

function nodeAddress(node: number): string {
  return `198.18.${node >> 8}.${node & 255}`;
}
