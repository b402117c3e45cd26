import type { DataPathConfig, NodeNetwork } from '@swarmd/model';
import type { Commands } from '../kernel/commands.js';
import type { Namespaces } from '../parts.js';
import { meshMac } from './addresses.js';
import { assignIndexes, ingressTables, parseIndexes, peerEntries } from './ingress-rules.js';
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
  let indexes = new Map<string, number>();
  let path: string | undefined;
  return {
    async apply(ingress, config) {
      const wanted = JSON.stringify([ingress, config]);
      if (applied === wanted) return false;
      applied = undefined;
      const inside = namespaces.pathOf(ingress.id);
      if (path !== inside) indexes = await readIndexes(commands, inside);
      path = inside;
      const peers = new Map(config.peers.map((peer) => [meshMac(peer), peer]));
      const own = meshMac(config.addr);
      peers.delete(own);
      const next = assignIndexes(indexes, [own, ...peers.keys()]);
      if (!(await present(commands, inside)) || !equal(indexes, next)) await commands.nft(inside, ingressTables(next));
      indexes = next;
      const listing = await commands.run(inside, ['bridge', '-j', 'fdb', 'show', 'dev', 'vx0']);
      await commands.batch(inside, 'bridge', peerEntries(peers, listing));
      const made = await ensureLink(commands, namespaces, { host, inside, ingress, mac: own });
      applied = wanted;
      return made;
    },
    doubt() {
      applied = undefined;
    },
    async remove() {
      const inside = path;
      applied = path = undefined;
      indexes = new Map();
      if (inside === undefined) return;
      const lines = ['ip', 'bridge'].flatMap((family) => [
        `table ${family} ${TABLE}`,
        `delete table ${family} ${TABLE}`,
      ]);
      const forwarding = async (): Promise<void> => {
        const listing = await commands.run(inside, ['bridge', '-j', 'fdb', 'show', 'dev', 'vx0']);
        await commands.batch(inside, 'bridge', peerEntries(new Map(), listing));
      };
      // The network may be gone, and all this with it.
      await commands.nft(inside, lines).catch(() => {});
      await forwarding().catch(() => {});
    },
  };
}

/** Connections carry these numbers: another process's must be gone on with. */
async function readIndexes(commands: Commands, inside: string): Promise<Map<string, number>> {
  const listing = await commands.run(inside, ['nft', '-j', 'list', 'map', 'ip', TABLE, 'zones']).catch(() => '');
  return parseIndexes(listing);
}

async function present(commands: Commands, inside: string): Promise<boolean> {
  const listing = await commands.run(inside, ['nft', 'list', 'tables']);
  return listing.includes(`table ip ${TABLE}\n`) && listing.includes(`table bridge ${TABLE}\n`);
}

function equal(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  return left.size === right.size && [...left].every(([mac, index]) => right.get(mac) === index);
}
