import type { DataPathConfig, NodeNetwork } from '@swarmd/model';
import type { LocalPort, NetworkPlane } from '../parts.js';
import { canonicalAddress } from './addresses.js';
import { createCommands } from './commands.js';
import { guardRules, noGuardRules } from './guard.js';
import { inspect } from './inspect.js';
import { apply, audit, configured, ensure, type Known, type NetworkPlaneDeps, type Plane } from './keep-network.js';
import { pairLines, portLine, portNames } from './ports.js';
import { createReleases } from './release.js';
import { createTurns } from './turns.js';

/** Networks in the kernel of this host. One a host; nothing is done before it is asked. */
export function createNetworkPlane(deps: NetworkPlaneDeps): NetworkPlane {
  const commands = createCommands(deps.namespaces);
  const plane: Plane = {
    ...deps,
    commands,
    // The namespace itself may be gone by then.
    releases: createReleases(commands, (path, error) =>
      deps.logger.info({ path, error }, 'attempts led to backends that left were not released'),
    ),
    host: deps.hostNamespace ?? deps.namespaces.own,
    config: undefined,
    known: new Map(),
  };
  const turns = createTurns();
  return {
    configure: (config) => turns.take('', () => configure(plane, config, (id, work) => turns.take(id, work))),
    ensure: (network) => turns.take(network.id, () => ensure(plane, network).then(() => {})),
    remove: (networkId) =>
      turns.take(networkId, async () => {
        plane.known.delete(networkId);
        await clear(plane, plane.namespaces.pathOf(networkId));
        plane.namespaces.remove(networkId);
      }),
    plug: (network, port) => turns.take(network.id, () => plug(plane, network, port)),
    unplug: (networkId, endpointId) =>
      turns.take(networkId, async () => {
        if (!plane.namespaces.exists(networkId)) return;
        const path = plane.namespaces.pathOf(networkId);
        await plane.commands.batch(path, 'ip', [`-link del ${portNames(endpointId).inside}`]);
      }),
    apply: (network, members) => turns.take(network.id, () => apply(plane, network, members)),
    audit: (network, members, ports, repair = true) =>
      turns.take(network.id, () => {
        if (repair) return audit(plane, network, members, ports);
        return inspect({ ...plane, config: configured(plane) }, network, members, ports);
      }),
    async reset() {
      // What is under way has its turn first.
      await Promise.all([...plane.known.keys()].map((id) => turns.take(id, async () => void plane.known.delete(id))));
      await turns.take('', () => reset(plane));
    },
  };
}

async function configure(
  plane: Plane,
  config: DataPathConfig,
  take: (networkId: string, work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await plane.commands.nft(plane.host, guardRules(config));
  const before = plane.config;
  plane.config = config;
  const same = before && canonicalAddress(before.addr) === canonicalAddress(config.addr) && before.port === config.port;
  if (same) return;
  const again = async ({ network, members }: Known): Promise<void> => {
    await ensure(plane, network);
    if (members) await apply(plane, network, members);
  };
  await Promise.all(
    [...plane.known.keys()].map((id) =>
      take(id, async () => {
        const known = plane.known.get(id);
        if (known) await again(known);
      }),
    ),
  );
}

async function plug(plane: Plane, network: NodeNetwork, port: LocalPort): Promise<{ interfaceName: string }> {
  const lines = pairLines(network, port, plane.host);
  if (!plane.known.has(network.id) || !plane.namespaces.exists(network.id)) await ensure(plane, network);
  const path = plane.namespaces.pathOf(network.id);
  await plane.commands.batch(path, 'ip', lines);
  await plane.commands.batch(path, 'bridge', [portLine(port)]);
  return { interfaceName: portNames(port.endpointId).outside };
}

/**
 * Removes the devices of a namespace: it may live on while a socket is in it, and its end comes some time after its
 * removal, while the VNI and the names of interfaces may be wanted again at once.
 */
async function clear(plane: Plane, path: string): Promise<void> {
  if (!plane.namespaces.list().includes(path)) return;
  const ours = [...plane.namespaces.view(path).links.keys()].filter(
    (name) => name === 'vx0' || name === 'br0' || name.startsWith('p'),
  );
  await plane.commands.batch(
    path,
    'ip',
    ours.map((name) => `-link del ${name}`),
  );
}

async function reset(plane: Plane): Promise<void> {
  plane.known.clear();
  plane.config = undefined;
  for (const path of plane.namespaces.list()) {
    await clear(plane, path).catch((error) => plane.logger.warn({ path, error }, 'namespace cannot be entered'));
  }
  plane.namespaces.removeAll();
  await plane.commands.nft(plane.host, noGuardRules());
}
