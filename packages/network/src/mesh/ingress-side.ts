import type { DataPathConfig, NodeNetwork } from '@swarmd/model';
import type { Commands } from '../kernel/commands.js';
import type { Namespaces } from '../parts.js';
import { type Family, meshMac, protocolOf, subnetOf } from './addresses.js';
import {
  assignIndexes,
  ingressDifference,
  ingressTables,
  type PeerWays,
  parseIndexes,
  parseWays,
  wayChanges,
  waysTo,
} from './ingress-rules.js';
import { ensureLink } from './link.js';
import { TABLE } from './node-rules.js';

/** The ingress network's end of the mesh on this node: its link to the host, the way to other nodes, the way back. */
export interface IngressSide {
  /** Brings it about where it is not so already; resolves with whether the link had to be made. */
  apply(ingress: NodeNetwork, config: DataPathConfig): Promise<boolean>;
  /** Looks at everything anew at the next `apply`. */
  doubt(): void;
  /** Takes the rules out of the namespace, if it is still there. */
  remove(): Promise<void>;
}

/** The ingress side of the host with the namespace `host`. */
export function createIngressSide(deps: { commands: Commands; namespaces: Namespaces; host: string }): IngressSide {
  const { commands, namespaces, host } = deps;
  let applied: string | undefined;
  let path: string | undefined;
  let indexes = new Map<string, number>();
  /** `undefined`: not known, to be read from the kernel. */
  let ways: PeerWays | undefined;

  const nameNodes = async (inside: string, families: readonly Family[], macs: Iterable<string>): Promise<void> => {
    const next = assignIndexes(indexes, macs);
    const all = ingressTables(next, families);
    const lines = (await present(commands, inside, families)) ? ingressDifference(indexes, next, families) : all;
    // A difference fails when somebody changed the tables: all of them do not.
    await commands.nft(inside, lines).catch(() => commands.nft(inside, all));
    indexes = next;
  };
  const leadTo = async (inside: string, peers: ReadonlyMap<string, string>): Promise<void> => {
    const before = ways ?? parseWays(await commands.run(inside, ['bridge', '-j', 'fdb', 'show', 'dev', 'vx0']));
    const next = waysTo(peers);
    ways = undefined;
    await commands.batch(inside, 'bridge', wayChanges(before, next));
    ways = next;
  };

  return {
    async apply(ingress, config) {
      const wanted = JSON.stringify([ingress, config]);
      if (applied === wanted) return false;
      applied = undefined;
      const inside = namespaces.pathOf(ingress.id);
      if (path !== inside) {
        indexes = await readIndexes(commands, inside);
        ways = undefined;
      }
      path = inside;
      const own = meshMac(config.addr);
      const peers = new Map(config.peers.map((peer) => [meshMac(peer), peer]));
      peers.delete(own);
      const families = ([4, 6] as const).filter((family) => family === 4 || subnetOf(ingress, family) !== undefined);
      await nameNodes(inside, families, [own, ...peers.keys()]);
      await leadTo(inside, peers);
      const made = await ensureLink(commands, namespaces, { host, inside, ingress, mac: own });
      applied = wanted;
      return made;
    },
    doubt() {
      applied = ways = undefined;
    },
    async remove() {
      const inside = path;
      applied = path = ways = undefined;
      indexes = new Map();
      if (inside === undefined) return;
      // The network may be gone, and all this with it; or never have had IPv6.
      for (const family of ['ip', 'ip6', 'bridge'])
        await commands.nft(inside, [`table ${family} ${TABLE}`, `delete table ${family} ${TABLE}`]).catch(() => {});
      await leadTo(inside, new Map()).catch(() => {});
      ways = undefined;
    },
  };
}

/** Connections carry these numbers: another process's must be gone on with. */
async function readIndexes(commands: Commands, inside: string): Promise<Map<string, number>> {
  const listing = await commands.run(inside, ['nft', '-j', 'list', 'map', 'ip', TABLE, 'zones']).catch(() => '');
  return parseIndexes(listing);
}

async function present(commands: Commands, inside: string, families: readonly Family[]): Promise<boolean> {
  const listing = await commands.run(inside, ['nft', 'list', 'tables']);
  return [...families.map(protocolOf), 'bridge'].every((ip) => listing.includes(`table ${ip} ${TABLE}\n`));
}
