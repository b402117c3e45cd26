import { existsSync } from 'node:fs';
import { type DataPathConfig, type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { LocalPort, NetworkMembers } from '../parts.js';
import type { Commands } from './commands.js';
import { changesBetween, type TableChanges } from './difference.js';
import { GUARD_LISTING, guardRules, guardStands } from './guard.js';
import type { KernelView } from './kernel-view.js';
import { type LinkSteps, linkSteps, writeSettings } from './links.js';
import { markOf } from './mark.js';
import type { KernelNamespaces } from './namespaces.js';
import { portSteps } from './ports.js';
import type { RangeTable } from './ranges.js';
import { markedTables, readTables } from './read-tables.js';
import { attemptLines, type Releases } from './release.js';
import { type NetworkTables, tablesFor } from './tables.js';

/** What `createNetworkPlane` is made of. */
export interface NetworkPlaneDeps {
  namespaces: KernelNamespaces;
  logger: Logger;
  /** Path of the namespace that is the host's: this process's own unless told. */
  hostNamespace?: string;
}

/** What a plane knows of a network: all of it is found again in the kernel when it does not. */
export interface Known {
  network: NodeNetwork;
  members: NetworkMembers | undefined;
  /** What stands in the kernel; unknown at first, and after a change that failed. */
  tables: NetworkTables | undefined;
  /** What was last to follow from the ranges of other nodes. */
  ranges: RangeTable | undefined;
  /** Nothing has failed since it was made or mended: only then need it not be looked at before something is applied. */
  sound: boolean;
  /** What was seen when it was last looked at, until something is changed. */
  view: KernelView | undefined;
}

/** A plane's own state. */
export interface Plane extends NetworkPlaneDeps {
  commands: Commands;
  releases: Releases;
  host: string;
  config: DataPathConfig | undefined;
  known: Map<string, Known>;
}

/** The node's own part; `failed-precondition` before it is told. */
export function configured(plane: Plane): DataPathConfig {
  if (plane.config) return plane.config;
  throw new SwarmdError(
    'failed-precondition',
    "this node's data path is not known yet: it has not heard from a manager",
  );
}

/** Makes or mends the namespace and its own links; what had to be done, each a sentence. */
export async function ensure(plane: Plane, network: NodeNetwork): Promise<string[]> {
  const { namespaces, commands, host } = plane;
  const config = configured(plane);
  const made = namespaces.create(network.id);
  const path = namespaces.pathOf(network.id);
  const sentences = made ? ['the namespace was missing'] : [];
  await loadBridgeNetfilter(plane, path);
  const settings = (linksMade: boolean) => namespaces.inside(path, () => writeSettings(network, linksMade));
  sentences.push(...settings(false));
  const view = namespaces.view(path);
  const steps = linkSteps(network, config, path, view.links);
  const before = plane.known.get(network.id);
  const tables = made || steps.renewed ? undefined : before?.tables;
  const { members, ranges } = before ?? {};
  const known = { network, members, ranges, tables, sound: false, view: undefined };
  plane.known.set(network.id, known);
  await takeSteps(commands, host, path, steps);
  sentences.push(...steps.sentences, ...settings(true));
  plane.known.set(network.id, { ...known, sound: true, view: sentences.length === 0 ? view : undefined });
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

/** As the plane's method, in the network's turn. */
export async function apply(plane: Plane, network: NodeNetwork, members: NetworkMembers): Promise<void> {
  const wanted = tablesFor(network, members, configured(plane).addr, plane.known.get(network.id)?.ranges);
  // After a failure too: what it failed for may be missing.
  if (!plane.known.get(network.id)?.sound || !plane.namespaces.exists(network.id)) await ensure(plane, network);
  const path = plane.namespaces.pathOf(network.id);
  const tables = plane.known.get(network.id)?.tables ?? (await currentTables(plane, path, network, wanted));
  await change(plane, network, members, changesBetween(network, tables, wanted), wanted);
}

/** What stands in the kernel. Where its rules are those that are wanted, as after most restarts, they are not listed. */
async function currentTables(
  plane: Plane,
  path: string,
  network: NodeNetwork,
  wanted: NetworkTables,
): Promise<NetworkTables> {
  const view = plane.known.get(network.id)?.view ?? plane.namespaces.view(path);
  if (plane.namespaces.mark(path) === markOf(wanted)) return markedTables(network, view, wanted);
  return readTables(plane.commands, path, network, view);
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
  const ranges = wanted.ranges?.table;
  plane.known.set(network.id, { network, members, ranges, tables: undefined, sound: false, view: undefined });
  // One after another: none may be under way still when another has failed and the next change begins.
  await commands.batch(path, 'bridge', changes.addBridge);
  await commands.batch(path, 'ip', changes.addIp);
  await commands.nft(path, changes.nft);
  plane.releases.add(path, attemptLines(changes.left));
  await commands.batch(path, 'ip', changes.removeIp);
  await commands.batch(path, 'bridge', changes.removeBridge);
  plane.known.set(network.id, { network, members, ranges, tables: wanted, sound: true, view: undefined });
}

/** As the plane's method, in the network's turn. */
export async function audit(
  plane: Plane,
  network: NodeNetwork,
  members: NetworkMembers,
  ports: readonly LocalPort[],
): Promise<string[]> {
  const { commands } = plane;
  const wanted = tablesFor(network, members, configured(plane).addr, plane.known.get(network.id)?.ranges);
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
