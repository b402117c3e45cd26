import { existsSync } from 'node:fs';
import { type DataPathConfig, type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { LocalPort, NetworkMembers, NetworkPlane } from '../parts.js';
import { canonicalAddress } from './addresses.js';
import { type Commands, createCommands } from './commands.js';
import { changesBetween, type TableChanges } from './difference.js';
import { GUARD_LISTING, guardRules, guardStands, noGuardRules } from './guard.js';
import { inspect } from './inspect.js';
import { type LinkSteps, linkSteps, writeSettings } from './links.js';
import type { KernelNamespaces } from './namespaces.js';
import { pairLines, portLine, portNames, portSteps } from './ports.js';
import { readTables } from './read-tables.js';
import { releaseAttempts } from './release.js';
import { type NetworkTables, tablesFor } from './tables.js';
import { createTurns } from './turns.js';

/** What {@link createNetworkPlane} is made of. */
export interface NetworkPlaneDeps {
  namespaces: KernelNamespaces;
  logger: Logger;
  /** Path of the namespace that is the host's: this process's own unless told. */
  hostNamespace?: string;
}

/** What this plane knows of a network: all of it is found again in the kernel when it does not. */
interface Known {
  network: NodeNetwork;
  members: NetworkMembers | undefined;
  /** What stands in the kernel; unknown at first, and after a change that failed. */
  tables: NetworkTables | undefined;
}

interface Plane extends NetworkPlaneDeps {
  commands: Commands;
  host: string;
  config: DataPathConfig | undefined;
  known: Map<string, Known>;
}

/** Networks in the kernel of this host. One a host; nothing is done before it is asked. */
export function createNetworkPlane(deps: NetworkPlaneDeps): NetworkPlane {
  const plane: Plane = {
    ...deps,
    commands: createCommands(deps.namespaces),
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

function configured(plane: Plane): DataPathConfig {
  if (plane.config) return plane.config;
  throw new SwarmdError(
    'failed-precondition',
    "this node's data path is not known yet: it has not heard from a manager",
  );
}

/** Makes or mends the namespace and its own links; what had to be done, each a sentence. */
async function ensure(plane: Plane, network: NodeNetwork): Promise<string[]> {
  const { namespaces, commands, host } = plane;
  const config = configured(plane);
  const made = namespaces.create(network.id);
  const path = namespaces.pathOf(network.id);
  const sentences = made ? ['the namespace was missing'] : [];
  await loadBridgeNetfilter(plane, path);
  const settings = (linksMade: boolean) => namespaces.inside(path, () => writeSettings(network, linksMade));
  sentences.push(...settings(false));
  const steps = linkSteps(network, config, path, namespaces.view(path).links);
  await takeSteps(commands, host, path, steps);
  sentences.push(...steps.sentences, ...settings(true));
  const known = plane.known.get(network.id);
  const tables = made || steps.renewed ? undefined : known?.tables;
  plane.known.set(network.id, { network, members: known?.members, tables });
  if (sentences.length > 0) plane.logger.info({ network: network.id, done: sentences }, 'network made or mended');
  return sentences;
}

/** A module in most kernels, which nothing that we do would load. That it is missing is said where it is needed. */
async function loadBridgeNetfilter({ namespaces, commands, host, logger }: Plane, path: string): Promise<void> {
  if (namespaces.inside(path, () => existsSync('/proc/sys/net/bridge'))) return;
  const failed = (error: unknown) => logger.warn({ error }, 'br_netfilter could not be loaded');
  await commands.run(host, ['modprobe', 'br_netfilter']).catch(failed);
}

async function takeSteps(commands: Commands, host: string, path: string, steps: LinkSteps): Promise<void> {
  await commands.batch(path, 'ip', steps.before);
  await commands.batch(host, 'ip', steps.host);
  await commands.batch(path, 'ip', steps.after);
}

async function plug(plane: Plane, network: NodeNetwork, port: LocalPort): Promise<{ interfaceName: string }> {
  const lines = pairLines(network, port, plane.host);
  if (!plane.known.has(network.id) || !plane.namespaces.exists(network.id)) await ensure(plane, network);
  const path = plane.namespaces.pathOf(network.id);
  await plane.commands.batch(path, 'ip', lines);
  await plane.commands.batch(path, 'bridge', [portLine(port)]);
  return { interfaceName: portNames(port.endpointId).outside };
}

async function apply(plane: Plane, network: NodeNetwork, members: NetworkMembers): Promise<void> {
  const wanted = tablesFor(network, members, configured(plane).addr);
  // After a failure too: what it failed for may be missing.
  if (!plane.known.get(network.id)?.tables || !plane.namespaces.exists(network.id)) await ensure(plane, network);
  const path = plane.namespaces.pathOf(network.id);
  const known = plane.known.get(network.id);
  const tables = known?.tables ?? (await readTables(plane.commands, path, network, plane.namespaces.view(path)));
  await change(plane, network, members, changesBetween(network, tables, wanted), wanted);
}

/** Brings about `wanted`. What stands in the kernel counts as unknown until that has succeeded. */
async function change(
  plane: Plane,
  network: NodeNetwork,
  members: NetworkMembers,
  changes: TableChanges,
  wanted: NetworkTables,
): Promise<void> {
  const { commands } = plane;
  const path = plane.namespaces.pathOf(network.id);
  plane.known.set(network.id, { network, members, tables: undefined });
  // One after another: none may be under way still when another has failed and the next change begins.
  await commands.batch(path, 'bridge', changes.addBridge);
  await commands.batch(path, 'ip', changes.addIp);
  await commands.nft(path, changes.nft);
  await releaseAttempts(commands, path, changes.left).catch((error) =>
    plane.logger.warn({ network: network.id, error }, 'attempts led to backends that left were not released'),
  );
  await commands.batch(path, 'ip', changes.removeIp);
  await commands.batch(path, 'bridge', changes.removeBridge);
  plane.known.set(network.id, { network, members, tables: wanted });
}

async function audit(
  plane: Plane,
  network: NodeNetwork,
  members: NetworkMembers,
  ports: readonly LocalPort[],
): Promise<string[]> {
  const { commands } = plane;
  const wanted = tablesFor(network, members, configured(plane).addr);
  const sentences = [...(await mendGuard(plane)), ...(await ensure(plane, network))];
  const path = plane.namespaces.pathOf(network.id);
  const view = plane.namespaces.view(path);
  const tables = await readTables(commands, path, network, view);
  const steps = portSteps(ports, view);
  await commands.batch(path, 'ip', steps.ip);
  await commands.batch(path, 'bridge', steps.bridge);
  const changes = changesBetween(network, tables, wanted);
  await change(plane, network, members, changes, wanted);
  return [...sentences, ...steps.sentences, ...changes.sentences];
}

async function mendGuard(plane: Plane): Promise<string[]> {
  const config = configured(plane);
  const listing = await plane.commands.run(plane.host, GUARD_LISTING).catch(() => '');
  if (guardStands(listing, config)) return [];
  await plane.commands.nft(plane.host, guardRules(config));
  return ['the guard of the VXLAN port was missing'];
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
