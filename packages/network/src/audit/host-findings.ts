import type { DataPathConfig, NetworkFinding, NodeNetwork } from '@swarmd/model';
import { overlap } from './cidr.js';
import type { HostFacts, HostLink } from './host-facts.js';

/** What VXLAN adds to a packet, by family of the addresses between nodes; in bytes. */
const OVERHEAD_BYTES = { ipv4: 50, ipv6: 70 } as const;
/** The oldest kernel and nft that everything works on. */
const KERNEL_FLOOR = [5, 10] as const;
const NFT_FLOOR = [0, 9, 8] as const;
/** The first kernel on which published ports show clients' own addresses. */
const KERNEL_CLIENT_ADDRESS = [5, 16] as const;

/** What the host is compared with. */
export interface HostExpectation {
  config: DataPathConfig | undefined;
  networks: readonly NodeNetwork[];
  /** Whether a link of the host, or a device that a route leads to, is one of ours. */
  isOurs(device: string): boolean;
}

/** What of the host stands in the networks' way, or will. Pure. */
export function hostFindings(facts: HostFacts, expected: HostExpectation): NetworkFinding[] {
  return [
    ...toolFindings(facts),
    ...versionFindings(facts),
    ...overlapFindings(facts, expected),
    ...vniFindings(facts, expected),
    ...mtuFindings(facts, expected),
    ...firewallFindings(facts, expected),
  ];
}

function finding(Level: NetworkFinding['Level'], Code: string, What: string, Do: string): NetworkFinding {
  return { Level, Code, What, Do };
}

function toolFindings({ missingTools }: HostFacts): NetworkFinding[] {
  return missingTools.map((tool) => {
    if (tool === 'ping')
      return finding(
        'note',
        'tools',
        'there is no ping: the MTU of the way to other nodes cannot be tried out',
        'install iputils-ping',
      );
    return finding(
      'error',
      'tools',
      `${tool} is not installed, and networks need it`,
      'install iproute2, nftables and util-linux',
    );
  });
}

function versionFindings({ kernel, nft }: HostFacts): NetworkFinding[] {
  const found: NetworkFinding[] = [];
  if (below(kernel, KERNEL_FLOOR))
    found.push(
      finding(
        'error',
        'version',
        `the kernel is ${kernel}; networks need ${KERNEL_FLOOR.join('.')} or later`,
        'upgrade the kernel',
      ),
    );
  else if (below(kernel, KERNEL_CLIENT_ADDRESS)) {
    const what = `the kernel is ${kernel}: before ${KERNEL_CLIENT_ADDRESS.join('.')}, published ports do not show clients' addresses to tasks here`;
    found.push(finding('note', 'version', what, 'upgrade the kernel where that matters'));
  }
  if (nft !== '' && below(nft, NFT_FLOOR))
    found.push(
      finding('error', 'version', `nft is ${nft}; networks need ${NFT_FLOOR.join('.')} or later`, 'upgrade nftables'),
    );
  return found;
}

/** Whether a version such as `6.1.0-18-amd64` is older than the floor. */
export function below(version: string, floor: readonly number[]): boolean {
  const parts = version.split(/[^0-9]+/).map(Number);
  for (const [i, least] of floor.entries()) {
    const part = parts[i] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}

function overlapFindings({ routes }: HostFacts, { networks, isOurs }: HostExpectation): NetworkFinding[] {
  const found: NetworkFinding[] = [];
  // Of the ingress network the mesh says it, which has a route of its own to it.
  for (const { name, subnets } of networks.filter(({ ingress }) => !ingress)) {
    for (const { subnet } of subnets) {
      for (const { destination, device } of routes) {
        const how = isOurs(device) ? 'none' : overlap(destination, subnet);
        if (how === 'none') continue;
        const what = `network ${name} has the subnet ${subnet}, and this host has a route to ${destination} by ${device}`;
        const advice = `make the network anew with a --subnet that is free on all hosts, or move what uses ${destination}`;
        if (how === 'within')
          found.push(finding('warning', 'overlap', `${what}: containers on it cannot reach what is there`, advice));
        else
          found.push(
            finding(
              'note',
              'overlap',
              `${what}: what has an address of the network there cannot be reached by containers`,
              advice,
            ),
          );
      }
    }
  }
  return found;
}

function vniFindings({ links }: HostFacts, { networks, isOurs }: HostExpectation): NetworkFinding[] {
  return networks.flatMap(({ name, vni }) =>
    links
      .filter((link) => link.kind === 'vxlan' && link.vni === vni && !isOurs(link.name))
      .map((link) => {
        const what = `network ${name} has the VNI ${vni}, and so has ${link.name}, which is not swarmd's: one of the two cannot be made`;
        return finding('error', 'vni', what, `remove it: ip link delete ${link.name}`);
      }),
  );
}

function mtuFindings({ links }: HostFacts, { config, networks }: HostExpectation): NetworkFinding[] {
  if (config === undefined) return [];
  const link = dataPathLink(links, config.addr);
  if (link === undefined) {
    const what = `no interface of this host has ${config.addr}, its data path address: nothing from other nodes reaches its containers`;
    return [finding('error', 'data-path', what, 'give the address back to an interface, or leave and join again')];
  }
  const overhead = OVERHEAD_BYTES[config.addr.includes(':') ? 'ipv6' : 'ipv4'];
  return networks
    .filter(({ mtu }) => mtu + overhead > link.mtu)
    .map(({ name, mtu }) => {
      const what = `network ${name} has an MTU of ${mtu} bytes, ${mtu + overhead} between nodes, and ${link.name} takes ${link.mtu}: large packets are lost or cut`;
      const advice = `ip link set ${link.name} mtu ${mtu + overhead}, where the network between hosts can do that; otherwise make ${name} anew: its MTU is fixed when it is made`;
      return finding('error', 'mtu', what, advice);
    });
}

/** The link with an address. */
export function dataPathLink(links: readonly HostLink[], addr: string): HostLink | undefined {
  return links.find(({ addresses }) => addresses.includes(addr));
}

function firewallFindings({ walls }: HostFacts, { config }: HostExpectation): NetworkFinding[] {
  if (config === undefined) return [];
  return walls
    .filter(({ certain }) => certain)
    .map(({ name, command }) => {
      const what = `${name} keeps UDP port ${config.port} shut, on which nodes reach each other's containers`;
      return finding('error', 'firewall', what, command);
    });
}
