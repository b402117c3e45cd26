import type { NodeNetwork } from '@swarmd/model';
import type { Commands } from '../kernel/commands.js';
import type { Namespaces } from '../parts.js';
import { subnetOf } from './addresses.js';
import { BRIDGE_PORT } from './ingress-rules.js';
import { HOST_LINK } from './node-rules.js';
import { writeSetting } from './settings.js';

/** Worse than any route of others, so that it replaces none. */
const routeMetric = 5377;

interface LinkListing {
  ifindex: number;
  ifname: string;
  address?: string;
  link_index?: number;
}

/** Where the pair of interfaces is to be. */
export interface LinkPlace {
  /** Path of the host's namespace. */
  host: string;
  /** Path of the ingress network's. */
  inside: string;
  ingress: NodeNetwork;
  /** MAC address of the host's end. */
  mac: string;
}

/**
 * Makes the pair of interfaces between the host and the ingress network's bridge, with the route there, unless it is there
 * already; resolves with whether it had to. The host's end has no address, not even a link-local one: nodes are told apart
 * by its MAC address. It neither asks nor answers for addresses, and hears no router, so that nothing of the host shows
 * on the network.
 */
export async function ensureLink(commands: Commands, namespaces: Namespaces, place: LinkPlace): Promise<boolean> {
  const { host, inside, ingress, mac } = place;
  const outer = await findLink(commands, host, HOST_LINK);
  const inner = outer === undefined ? undefined : await findLink(commands, inside, BRIDGE_PORT);
  const there = outer?.address === mac && inner?.link_index === outer.ifindex && outer.link_index === inner.ifindex;
  const { mtu } = ingress;
  if (!there) {
    await removeLink(commands, host);
    await commands.batch(inside, 'ip', [
      `-link del ${BRIDGE_PORT}`,
      `link add ${BRIDGE_PORT} mtu ${mtu} type veth peer name ${HOST_LINK} address ${mac} mtu ${mtu} netns ${host}`,
    ]);
    for (const [name, value] of LINK_SETTINGS) writeSetting(namespaces, host, `ipv6/conf/${HOST_LINK}/${name}`, value);
  }
  await commands.batch(inside, 'ip', [
    `link set ${BRIDGE_PORT} mtu ${mtu} master br0 up`,
    `link set ${BRIDGE_PORT} type bridge_slave learning off`,
  ]);
  await commands.batch(inside, 'bridge', [`fdb replace ${mac} dev ${BRIDGE_PORT} master static`]);
  const [network, network6] = [subnetOf(ingress, 4), subnetOf(ingress, 6)];
  writeSetting(namespaces, host, `ipv6/conf/${HOST_LINK}/disable_ipv6`, network6 === undefined ? '1' : '0');
  await commands.batch(host, 'ip', [
    `link set ${HOST_LINK} arp off mtu ${mtu} up`,
    ...(network === undefined
      ? []
      : [`route replace ${network.subnet} dev ${HOST_LINK} scope link metric ${routeMetric}`]),
    ...(network6 === undefined ? [] : [`route replace ${network6.subnet} dev ${HOST_LINK} metric ${routeMetric}`]),
  ]);
  writeSetting(namespaces, host, 'ipv4/ip_forward', '1');
  // So that processes of this host reach published ports at 127.0.0.1.
  writeSetting(namespaces, host, `ipv4/conf/${HOST_LINK}/route_localnet`, '1');
  return !there;
}

/** Of IPv6, on the host's end: it gets no address by itself and hears no router. */
const LINK_SETTINGS = [
  ['disable_ipv6', '1'],
  ['addr_gen_mode', '1'],
  ['accept_ra', '0'],
] as const;

/** Removes the pair, with the routes and neighbours on it. */
export async function removeLink(commands: Commands, host: string): Promise<void> {
  await commands.batch(host, 'ip', [`-link del ${HOST_LINK}`]);
}

/** A sentence when addresses of the ingress network are also behind another interface of the host. */
export async function overlappingRoutes(commands: Commands, host: string, ingress: NodeNetwork): Promise<string[]> {
  if (subnetOf(ingress, 4) === undefined)
    return ['the ingress network has no IPv4 subnet: published ports answer nowhere'];
  const problems = new Set<string>();
  for (const family of [4, 6] as const) {
    const network = subnetOf(ingress, family);
    if (network === undefined) continue;
    for (const which of ['root', 'match']) {
      const routes = await commands.run(host, ['ip', '-j', `-${family}`, 'route', 'show', which, network.subnet]);
      for (const { dst, dev } of JSON.parse(routes || '[]') as { dst: string; dev?: string }[]) {
        if (['default', '0.0.0.0/0', '::/0'].includes(dst) || dev === undefined || dev === HOST_LINK) continue;
        problems.add(
          `the ingress network's subnet ${network.subnet} overlaps with ${dst}, which this host reaches by ${dev}: published ports may not answer`,
        );
      }
    }
  }
  return [...problems];
}

async function findLink(commands: Commands, namespace: string, name: string): Promise<LinkListing | undefined> {
  const links = JSON.parse(
    await commands.run(namespace, ['ip', '-j', 'link', 'show', 'type', 'veth']),
  ) as LinkListing[];
  return links.find((link) => link.ifname === name);
}
