import { isIPv4 } from 'node:net';
import { macAddressOf } from '../kernel/addresses.js';
import type { Commands } from '../kernel/commands.js';
import { releaseAttempts } from '../kernel/release.js';
import { HOST_LINK, type NodeRulesOptions, nodeDifference, nodeTable, TABLE } from './node-rules.js';
import type { OpenPort } from './ports.js';

/** The rules and neighbours in the host's namespace. */
export interface NodeSide {
  /**
   * Leads `ports` to their backends, and makes `neighbours` reachable; one transaction, of what differs where that is
   * known. Attempts that were led to addresses which are not in `neighbours` any more are let go; resolves with a
   * sentence when that cannot be done.
   */
  apply(options: NodeRulesOptions, ports: readonly OpenPort[], neighbours: ReadonlySet<string>): Promise<string[]>;
  /** Whether the rules that it has made are still there; if not, the next `apply` makes all of them. */
  intact(): Promise<boolean>;
  /** The link was made anew: it has no neighbours. */
  linkRenewed(): void;
  remove(): Promise<void>;
}

/** The node's side in the namespace `host`; it knows nothing of what stands there yet. */
export function createNodeSide(commands: Commands, host: string): NodeSide {
  let applied: { options: string; ports: Map<string, OpenPort> } | undefined;
  let neighbours = new Set<string>();
  const load = async (options: NodeRulesOptions, after: Map<string, OpenPort>): Promise<void> => {
    const key = JSON.stringify(options);
    const before = applied;
    applied = undefined;
    const difference = before?.options === key ? nodeDifference(before.ports, after) : undefined;
    // A difference fails when somebody changed the rules: all of them do not.
    const done = difference !== undefined && (await attempt(() => commands.nft(host, difference)));
    if (!done) await commands.nft(host, nodeTable(options, after.values()));
    applied = { options: key, ports: after };
  };
  return {
    async apply(options, ports, wanted) {
      const before = applied?.ports;
      const after = new Map(ports.map((port) => [port.key, port]));
      const fresh = [...wanted].filter((address) => !neighbours.has(address));
      const gone = [...neighbours].filter((address) => !wanted.has(address));
      await commands.batch(
        host,
        'ip',
        fresh.map(
          (address) => `neigh replace ${address} lladdr ${macAddressOf(address)} dev ${HOST_LINK} nud permanent`,
        ),
      );
      await load(options, after);
      await commands.batch(
        host,
        'ip',
        gone.map((address) => `-neigh del ${address} dev ${HOST_LINK}`),
      );
      neighbours = new Set(wanted);
      try {
        await releaseAttempts(commands, host, gone);
        await releaseUndirected(commands, host, before, after);
        return [];
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return [`clients of published ports may wait for tasks that are gone (${reason}): is conntrack installed?`];
      }
    },
    async intact() {
      if (applied === undefined) return true;
      const listing = await commands.run(host, ['nft', 'list', 'chain', 'ip', TABLE, 'prerouting']).catch(() => '');
      if (listing.includes('jump published')) return true;
      applied = undefined;
      return false;
    },
    linkRenewed() {
      neighbours = new Set();
    },
    async remove() {
      applied = undefined;
      neighbours = new Set();
      await commands.nft(host, [`table ip ${TABLE}`, `delete table ip ${TABLE}`]);
    },
  };
}

/**
 * A UDP client whose packets went to nobody before its port was published, or had backends, would stay with nobody for as
 * long as it goes on.
 */
async function releaseUndirected(
  commands: Commands,
  host: string,
  before: ReadonlyMap<string, OpenPort> | undefined,
  after: ReadonlyMap<string, OpenPort>,
): Promise<void> {
  const lines = [...after.values()]
    .filter((port) => port.protocol === 'udp' && port.backends.length > 0 && !before?.get(port.key)?.backends.length)
    .map((port) => `-D -p udp --orig-port-dst ${port.port} --reply-port-src ${port.port}`);
  if (lines.length > 0 && before !== undefined)
    await commands.run(host, ['sh', '-c', 'cat | conntrack -R -'], `${lines.join('\n')}\n`);
}

async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch {
    return false;
  }
}

/** Own address for connections from 127.0.0.0/8: any address does, as answers find this node by its MAC address. */
export function sourceOf(dataPathAddress: string): string | undefined {
  return isIPv4(dataPathAddress) ? dataPathAddress : undefined;
}
