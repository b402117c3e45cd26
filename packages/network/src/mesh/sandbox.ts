import { isIP } from 'node:net';
import { type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { Commands } from '../kernel/commands.js';
import type { LocalPort, Namespaces } from '../parts.js';
import { type Family, protocolOf, subnetOf } from './addresses.js';
import { TABLE } from './node-rules.js';
import { writeSetting } from './settings.js';

/** Routing table of answers inside containers, and what leads there: numbers that nothing else is known to use. */
const routingTable = 5377;
const markRulePriority = 5376;
const sourceRulePriority = 5377;
/** After all tables that Linux has by itself. */
const lastRulePriority = 32_768;
const mark = '0x53770000';

interface Link {
  ifname: string;
  address?: string;
  addr_info?: { family: string; local?: string; scope?: string }[];
}
interface Route {
  dev?: string;
  prefsrc?: string;
}

/**
 * Lets a container on the ingress network answer clients there, although its default route leads elsewhere: what it sends
 * from its address on that network goes to the gateway. A UDP socket that is bound to no address would answer from the
 * address of its default route: it gets its packets at that address, and their answers are led back. Nothing here depends
 * on the cluster's nodes or the service's ports. `not-found` when the container has no such interface (yet).
 */
export async function prepareSandbox(
  deps: { commands: Commands; namespaces: Namespaces },
  sandbox: string,
  ingress: NodeNetwork,
  port: LocalPort,
): Promise<void> {
  for (const family of [4, 6] as const) {
    const own = port.addresses.find((address) => isIP(address) === family);
    const network = subnetOf(ingress, family);
    if (own !== undefined && network !== undefined) await prepareFamily(deps, sandbox, { family, own, network });
  }
}

interface Way {
  family: Family;
  /** The container's address on the ingress network. */
  own: string;
  network: { subnet: string; gateway: string };
}

async function prepareFamily(
  { commands, namespaces }: { commands: Commands; namespaces: Namespaces },
  sandbox: string,
  { family, own, network }: Way,
): Promise<void> {
  const ip = ['ip', `-${family}`];
  const links = JSON.parse(await commands.run(sandbox, [...ip, '-j', 'addr', 'show'])) as Link[];
  const link = links.find((candidate) => candidate.addr_info?.some((info) => info.local === own));
  if (link === undefined)
    throw new SwarmdError('not-found', `no interface with the address ${own} in the container's namespace ${sandbox}`);
  const rules = await commands.run(sandbox, [...ip, 'rule', 'show']);
  const elsewhere = await defaultAddress(commands, sandbox, links, link.ifname, family);
  const batch = [
    `route replace ${network.subnet} dev ${link.ifname} table ${routingTable}`,
    `route replace default via ${network.gateway} dev ${link.ifname} onlink table ${routingTable}`,
  ];
  if (!rules.includes(`from ${own} lookup ${routingTable}`))
    batch.push(`rule add priority ${sourceRulePriority} from ${own} lookup ${routingTable}`);
  if (!rules.includes(`fwmark ${mark} lookup ${routingTable}`))
    batch.push(`rule add priority ${markRulePriority} fwmark ${mark} lookup ${routingTable}`);
  // The engine's way out has no IPv6 unless somebody wanted that: answers of UDP without an address have nowhere else to go.
  if (family === 6 && elsewhere === undefined && !rules.includes(`ipproto udp lookup ${routingTable}`))
    batch.push(`rule add priority ${lastRulePriority} ipproto udp lookup ${routingTable}`);
  await commands.run(sandbox, [...ip, '-batch', '-'], `${batch.join('\n')}\n`);
  if (elsewhere === undefined) return;
  // Strict reverse path filtering then asks with the mark, and finds this interface.
  if (family === 4) writeSetting(namespaces, sandbox, `ipv4/conf/${link.ifname}/src_valid_mark`, '1');
  await commands.nft(sandbox, sandboxTable(protocolOf(family), link.ifname, own, network.subnet, elsewhere));
}

/** The address that the container sends from by its default route, unless that leads by `ingressLink` itself. */
async function defaultAddress(
  commands: Commands,
  sandbox: string,
  links: readonly Link[],
  ingressLink: string,
  family: Family,
): Promise<string | undefined> {
  const listing = await commands.run(sandbox, ['ip', '-j', `-${family}`, 'route', 'show', 'default']);
  const route = (JSON.parse(listing || '[]') as Route[])[0];
  if (route?.dev === undefined || route.dev === ingressLink) return undefined;
  const link = links.find((candidate) => candidate.ifname === route.dev);
  return route.prefsrc ?? link?.addr_info?.find((info) => info.scope === 'global')?.local;
}

function sandboxTable(ip: 'ip' | 'ip6', link: string, own: string, subnet: string, elsewhere: string): string[] {
  return [
    `table ${ip} ${TABLE}`,
    `delete table ${ip} ${TABLE}`,
    `table ${ip} ${TABLE} {`,
    '  chain arriving {',
    '    type nat hook prerouting priority -99;',
    `    iifname "${link}" ${ip} daddr ${own} ${ip} saddr != ${subnet} meta l4proto udp dnat to ${elsewhere}`,
    '  }',
    '  chain towards {',
    '    type filter hook prerouting priority -90;',
    `    iifname "${link}" ct status dnat ct direction original meta mark set ${mark}`,
    '  }',
    '  chain back {',
    '    type route hook output priority mangle;',
    `    ct direction reply ct original ${ip} daddr ${own} meta mark set ${mark}`,
    '  }',
    '}',
  ];
}
