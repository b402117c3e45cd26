import type { DataPathConfig, NodeNetwork } from '@swarmd/model';
import type { LocalPort, NetworkMembers } from '../parts.js';
import type { Commands } from './commands.js';
import { changesBetween } from './difference.js';
import { GUARD_LISTING, guardStands } from './guard.js';
import { linkSteps } from './links.js';
import type { KernelNamespaces } from './namespaces.js';
import { portSteps } from './ports.js';
import { readTables } from './read-tables.js';
import { tablesFor } from './tables.js';

/** What {@link inspect} looks with. */
export interface Inspecting {
  namespaces: KernelNamespaces;
  commands: Commands;
  /** Path of the host's namespace. */
  host: string;
  config: DataPathConfig;
}

/** What differs in the kernel from what should be there for a network, each a sentence. Nothing is changed. */
export async function inspect(
  { namespaces, commands, host, config }: Inspecting,
  network: NodeNetwork,
  members: NetworkMembers,
  ports: readonly LocalPort[],
): Promise<string[]> {
  const listing = await commands.run(host, GUARD_LISTING).catch(() => '');
  const guard = guardStands(listing, config) ? [] : ['the guard of the VXLAN port was missing'];
  if (!namespaces.exists(network.id)) return [...guard, 'the namespace is missing'];
  const path = namespaces.pathOf(network.id);
  const view = namespaces.view(path);
  const sentences = [...guard, ...linkSteps(network, config, path, view.links).sentences];
  // Without its links there are no tables to speak of.
  if (!view.links.has('br0') || !view.links.has('vx0')) return sentences;
  const tables = await readTables(commands, path, network, view);
  const changes = changesBetween(network, tables, tablesFor(network, members, config.addr));
  return [...sentences, ...portSteps(ports, view).sentences, ...changes.sentences];
}
