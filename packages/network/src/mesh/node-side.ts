import type { Commands } from '../kernel/commands.js';
import { attemptLines, createReleases } from '../kernel/release.js';
import { protocolOf } from './addresses.js';
import { HOST_LINK, type NodeRulesOptions, nodeDifference, nodeTable, TABLE } from './node-rules.js';
import type { OpenPort } from './ports.js';

/** The rules and neighbours in the host's namespace. */
export interface NodeSide {
  /**
   * Leads `ports` to their backends, and makes `neighbours` (address → MAC address) reachable; one transaction, of what
   * differs where that is known. Attempts that were led to addresses which are no backends any more are let go after that;
   * resolves with a sentence when that could not be done the last time.
   */
  apply(
    options: NodeRulesOptions,
    ports: readonly OpenPort[],
    neighbours: ReadonlyMap<string, string>,
  ): Promise<string[]>;
  /** Whether the rules that it has made are still there; if not, the next `apply` makes all of them. */
  intact(): Promise<boolean>;
  /** The link was made anew: it has no neighbours. */
  linkRenewed(): void;
  remove(): Promise<void>;
}

/** The node's side in the namespace `host`; it knows nothing of what stands there yet. */
export function createNodeSide(commands: Commands, host: string): NodeSide {
  let applied: { options: string; ports: Map<string, OpenPort> } | undefined;
  let neighbours: ReadonlyMap<string, string> = new Map();
  const releases = createReleases(commands, () => {});
  /** What rules have led to, whether they stand now or not: what is none of it any more is let go of. */
  let ledTo: ReadonlyMap<string, OpenPort> | undefined;
  const load = async (options: NodeRulesOptions, after: Map<string, OpenPort>): Promise<void> => {
    const key = JSON.stringify(options);
    const before = applied;
    applied = undefined;
    const difference = before?.options === key ? nodeDifference(before.ports, after) : undefined;
    // A difference fails when somebody changed the rules: all of them do not.
    const done = difference !== undefined && (await attempt(() => commands.nft(host, difference)));
    if (!done) {
      await commands.nft(host, nodeTable(options, after.values()));
      // Left from an ingress network that had both; there is none where the kernel has no IPv6.
      if (!options.families.includes(6)) await removeTable(commands, host, 'ip6').catch(() => {});
    }
    applied = { options: key, ports: after };
  };
  return {
    async apply(options, ports, wanted) {
      const after = new Map(ports.map((port) => [port.key, port]));
      const fresh = [...wanted].filter(([address, mac]) => neighbours.get(address) !== mac);
      const gone = [...neighbours.keys()].filter((address) => !wanted.has(address));
      await commands.batch(
        host,
        'ip',
        fresh.map(([address, mac]) => `neigh replace ${address} lladdr ${mac} dev ${HOST_LINK} nud permanent`),
      );
      await load(options, after);
      await commands.batch(
        host,
        'ip',
        gone.map((address) => `-neigh del ${address} dev ${HOST_LINK}`),
      );
      neighbours = new Map(wanted);
      const backends = backendsOf(after.values());
      const left = [...backendsOf(ledTo?.values() ?? [])].filter((address) => !backends.has(address));
      releases.add(host, [...attemptLines(left), ...undirectedLines(ledTo, after)]);
      ledTo = after;
      const { failure } = releases;
      return failure === undefined
        ? []
        : [`clients of published ports may wait for tasks that are gone (${failure}): is conntrack installed?`];
    },
    async intact() {
      if (applied === undefined) return true;
      const { families } = JSON.parse(applied.options) as NodeRulesOptions;
      for (const ip of families.map(protocolOf)) {
        const listing = await commands.run(host, ['nft', 'list', 'chain', ip, TABLE, 'prerouting']).catch(() => '');
        if (!listing.includes('jump published')) applied = undefined;
      }
      return applied !== undefined;
    },
    linkRenewed() {
      neighbours = new Map();
    },
    async remove() {
      applied = undefined;
      ledTo = undefined;
      neighbours = new Map();
      await removeTable(commands, host, 'ip');
      await removeTable(commands, host, 'ip6').catch(() => {});
    },
  };
}

/**
 * A UDP client whose packets went to nobody before its port was published, or had backends, would stay with nobody for as
 * long as it goes on.
 */
function undirectedLines(
  before: ReadonlyMap<string, OpenPort> | undefined,
  after: ReadonlyMap<string, OpenPort>,
): string[] {
  if (before === undefined) return [];
  return [...after.values()]
    .filter((port) => port.protocol === 'udp' && port.backends.length > 0 && !before.get(port.key)?.backends.length)
    .map((port) => `-D -f ipv${port.family} -p udp --orig-port-dst ${port.port} --reply-port-src ${port.port}`);
}

function backendsOf(ports: Iterable<OpenPort>): Set<string> {
  return new Set([...ports].flatMap(({ backends }) => backends));
}

function removeTable(commands: Commands, host: string, ip: 'ip' | 'ip6'): Promise<void> {
  return commands.nft(host, [`table ${ip} ${TABLE}`, `delete table ${ip} ${TABLE}`]);
}

async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch {
    return false;
  }
}
