import type { Clock, DataPathConfig, NodeNetwork, PublishedService } from '@swarmd/model';
import type { Logger } from 'pino';
import { createCommands } from '../kernel/commands.js';
import type { Mesh, Namespaces, NetworkMembers } from '../parts.js';
import { type Family, subnetOf } from './addresses.js';
import { closeFirewall, openFirewall } from './firewall.js';
import { createIngressSide, type IngressSide } from './ingress-side.js';
import { overlappingRoutes, removeLink } from './link.js';
import { createNodeSide, type NodeSide } from './node-side.js';
import { createPlaceholders, type Placeholders } from './placeholders.js';
import { openPorts, reachable } from './ports.js';
import { reservedPorts } from './reserved.js';
import { createRuns } from './runs.js';
import { prepareSandbox } from './sandbox.js';
import { readSetting } from './settings.js';
import { type Watch, watchRemovals } from './watch.js';

/** What a mesh is made of. */
export interface MeshDeps {
  namespaces: Namespaces;
  /** Path of the host's network namespace. */
  hostNamespace: string;
  clock: Clock;
  logger: Logger;
  /** Backends see the node's address instead of the client's. */
  masquerade?: boolean;
  /** Time between two looks at whether all is as it should be. */
  checkPeriodMs?: number;
  /** Ports of sshd; those of this host's configuration unless told. */
  sshPorts?: readonly number[];
}

/** What the mesh was told last. */
interface Wanted {
  ingress: NodeNetwork | undefined;
  members: NetworkMembers | undefined;
  published: readonly PublishedService[];
}

const defaultCheckPeriodMs = 15_000;

/** The routing mesh of one host. Nothing happens before it is told something. */
export function createMesh(deps: MeshDeps): Mesh {
  const { namespaces, hostNamespace: host, clock, logger } = deps;
  const commands = createCommands(namespaces);
  const parts = {
    nodeSide: createNodeSide(commands, host),
    ingressSide: createIngressSide({ commands, namespaces, host }),
    placeholders: createPlaceholders({ namespaces, commands, host }),
  };
  let wanted: Wanted = { ingress: undefined, members: undefined, published: [] };
  let config: DataPathConfig | undefined;
  let problems: string[] = [];
  let doubtful = false;
  /** What was found around the mesh at the last look; `undefined`: look again. */
  let around: string[] | undefined;
  let watching: { watch: Watch; cancel: () => void } | undefined;

  const runs = createRuns(() =>
    bringAllAbout().catch((error) => {
      problems = [`published ports may not work on this node: ${error instanceof Error ? error.message : error}`];
      throw error;
    }),
  );
  const bringAllAbout = async (): Promise<void> => {
    const { ingress, members, published } = wanted;
    if (ingress === undefined || config === undefined) return takeDown();
    startWatching();
    if (doubtful) {
      doubtful = false;
      around = undefined;
      parts.ingressSide.doubt();
      if (!(await parts.nodeSide.intact())) logger.warn('rules of the routing mesh were gone: made again');
    }
    const { families, lacking } = familiesOf(namespaces, host, ingress);
    const own = await bringAbout({ ...deps, ...parts }, { ingress, members, published }, config, families);
    if (around === undefined) {
      const walls = [];
      for (const family of families) walls.push(...(await openFirewall(commands, namespaces, host, family)));
      around = [...(await overlappingRoutes(commands, host, ingress)), ...walls];
    }
    const found = [...own, ...lacking, ...around];
    for (const problem of found.filter((sentence) => !problems.includes(sentence))) logger.warn(problem);
    problems = found;
  };

  const takeDown = async (): Promise<void> => {
    problems = [];
    around = undefined;
    if (watching === undefined) return;
    stopWatching();
    await parts.nodeSide.remove();
    await parts.ingressSide.remove();
    await removeLink(commands, host);
    await closeFirewall(commands, namespaces, host);
    parts.placeholders.keep(new Set());
  };

  const check = async (): Promise<void> => {
    if (watching === undefined) return;
    doubtful = true;
    await runs.run();
  };

  const startWatching = (): void => {
    if (watching !== undefined) return;
    const look = (): void => {
      check().catch((error) => logger.warn({ error }, 'routing mesh not mended'));
    };
    const later = (): (() => void) =>
      clock.after(deps.checkPeriodMs ?? defaultCheckPeriodMs, () => {
        look();
        if (watching !== undefined) watching.cancel = later();
      });
    watching = { watch: watchRemovals({ namespaces, clock }, host, look), cancel: later() };
  };
  const stopWatching = (): void => {
    watching?.watch.close();
    watching?.cancel();
    watching = undefined;
  };

  return {
    async configure(next) {
      config = next;
      if (wanted.ingress !== undefined) await runs.run();
    },
    async apply(ingress, members, published) {
      if (ingress?.id !== wanted.ingress?.id) around = undefined;
      wanted = { ingress, members, published };
      await runs.run();
    },
    joined: (sandbox, ingress, port) => prepareSandbox({ commands, namespaces }, sandbox, ingress, port),
    check,
    problems: () => [...problems],
    async reset() {
      wanted = { ingress: undefined, members: undefined, published: [] };
      // What an earlier process left is removed too.
      startWatching();
      await runs.run();
    },
    async close() {
      stopWatching();
      await runs.idle();
      parts.placeholders.keep(new Set());
    },
  };
}

/**
 * The versions of IP that ports are published by. Forwarding makes a host a router, of which it is to be asked: the
 * engine has done that for IPv4. Without it there is a sentence in `lacking`.
 */
function familiesOf(
  namespaces: Namespaces,
  host: string,
  ingress: NodeNetwork,
): { families: Family[]; lacking: string[] } {
  if (subnetOf(ingress, 6) === undefined) return { families: [4], lacking: [] };
  if (readSetting(namespaces, host, 'ipv6/conf/all/forwarding') === '1') return { families: [4, 6], lacking: [] };
  const repair = 'sysctl -w net.ipv6.conf.all.forwarding=1';
  const why = 'this host does not forward it';
  return {
    families: [4],
    lacking: [`published ports do not answer by IPv6 on this node, as ${why}: run \`${repair}\``],
  };
}

interface Parts extends MeshDeps {
  nodeSide: NodeSide;
  ingressSide: IngressSide;
  placeholders: Placeholders;
}

/** Brings about what is wanted, from whatever is there; what stands in the way. */
async function bringAbout(
  parts: Parts,
  wanted: Wanted & { ingress: NodeNetwork },
  config: DataPathConfig,
  families: readonly Family[],
): Promise<string[]> {
  const { nodeSide, ingressSide, placeholders } = parts;
  const members = wanted.members ?? { endpoints: new Map(), services: new Map() };
  const { ports, refused } = openPorts(members, wanted.published, reservedPorts(config.port, parts.sshPorts), families);
  if (await ingressSide.apply(wanted.ingress, config)) nodeSide.linkRenewed();
  const { held, busy } = await placeholders.hold(ports);
  const masquerade = parts.masquerade ?? false;
  const options = { families, source: config.addr, masquerade };
  const released = await nodeSide.apply(options, held, reachable(members, wanted.published));
  // Only when no rule leads past them any more.
  placeholders.keep(new Set(held.map((port) => port.key)));
  const lost = 'published ports do not keep the addresses of clients: this node is set to replace them by its own';
  return [...refused, ...busy, ...released, ...(masquerade ? [lost] : [])];
}
