import { readFileSync, writeFileSync } from 'node:fs';
import { type DataPathConfig, type NodeNetwork, SwarmdError } from '@swarmd/model';
import { canonicalAddress, macAddressOf, type Subnet, subnetsOf } from './addresses.js';
import type { Link } from './kernel-view.js';

/** What has to be done for a network's own links: in the host's namespace and in the network's. */
export interface LinkSteps {
  before: string[];
  /** Makes `vx0` from the host's namespace, where its socket stays. */
  host: string[];
  after: string[];
  /** `vx0` is made anew, and its table empty. */
  renewed: boolean;
  sentences: string[];
}

/** What a network's links lack. */
export function linkSteps(
  network: NodeNetwork,
  config: DataPathConfig,
  path: string,
  links: ReadonlyMap<string, Link>,
): LinkSteps {
  const steps: LinkSteps = { before: [], host: [], after: [], renewed: false, sentences: [] };
  const lo = links.get('lo');
  if (!lo?.up) steps.before.push('link set lo up');
  bridgeSteps(network, links.get('br0'), steps);
  tunnelSteps(network, config, path, links.get('vx0'), steps);
  return steps;
}

function bridgeSteps(network: NodeNetwork, bridge: Link | undefined, steps: LinkSteps): void {
  const subnets = subnetsOf(network.subnets);
  const mac = bridgeAddress(network, subnets);
  if (!bridge) {
    // A bridge without an address of its own takes one of its ports, and what containers know of the gateway goes stale.
    steps.before.push(
      `link add br0 address ${mac} mtu ${network.mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    );
    steps.sentences.push('the bridge was missing');
  } else if (bridge.macAddress !== mac || bridge.mtu !== network.mtu || bridge.multicastSnooping) {
    steps.before.push(`link set br0 address ${mac} mtu ${network.mtu}`, 'link set br0 type bridge mcast_snooping 0');
    steps.sentences.push('the bridge was not set up as it should be');
  }
  if (!bridge?.up) {
    steps.before.push('link set br0 up');
    if (bridge) steps.sentences.push('the bridge was down');
  }
  for (const { family, gateway, prefix } of subnets) {
    const there = bridge?.addresses.some((one) => one.address === gateway && one.prefix === prefix) ?? false;
    if (there) continue;
    steps.before.push(`addr replace ${gateway}/${prefix} dev br0${family === 6 ? ' nodad' : ''}`);
    if (bridge) steps.sentences.push(`the gateway's address ${gateway} was missing`);
  }
}

/** The gateway's; a network without IPv4 has one made from its VNI. */
function bridgeAddress(network: NodeNetwork, subnets: readonly Subnet[]): string {
  const ipv4 = subnets.find(({ family }) => family === 4)?.gateway;
  return macAddressOf(ipv4 ?? [24, 16, 8, 0].map((shift) => (network.vni >> shift) & 255).join('.'));
}

function tunnelSteps(
  network: NodeNetwork,
  config: DataPathConfig,
  path: string,
  tunnel: Link | undefined,
  steps: LinkSteps,
): void {
  const same =
    tunnel?.kind === 'vxlan' &&
    tunnel.vxlan.vni === network.vni &&
    tunnel.vxlan.port === config.port &&
    tunnel.vxlan.proxy &&
    !tunnel.vxlan.learning &&
    tunnel.vxlan.local === canonicalAddress(config.addr);
  if (!same) {
    if (tunnel) steps.before.push('link del vx0');
    steps.sentences.push(tunnel ? 'the VXLAN device was one of other settings' : 'the VXLAN device was missing');
    steps.host.push(
      `link add vx0 mtu ${network.mtu} netns ${path} ` +
        `type vxlan id ${network.vni} local ${config.addr} dstport ${config.port} nolearning proxy`,
    );
    steps.renewed = true;
  } else if (tunnel.mtu !== network.mtu) {
    steps.after.push(`link set vx0 mtu ${network.mtu}`);
    steps.sentences.push('the VXLAN device had another MTU');
  }
  const joined = same && tunnel.master === 'br0' && tunnel.up;
  if (!joined) {
    steps.after.push('link set vx0 master br0 up');
    if (same) steps.sentences.push('the VXLAN device was not in the bridge');
  }
  // Who is behind it is known and must not be learned from what any packet says.
  if (!joined || tunnel.port.learning) {
    steps.after.push('link set vx0 type bridge_slave learning off');
  }
}

/** Kernel settings of a network's namespace: path below `/proc/sys/net` → value. */
function settingsFor(network: NodeNetwork): [path: string, value: string][] {
  const v6 = subnetsOf(network.subnets).some(({ family }) => family === 6);
  return [
    // Without it bridged packets pass no rules, and virtual IPs lead nowhere.
    ['bridge/bridge-nf-call-iptables', '1'],
    ['bridge/bridge-nf-call-ip6tables', '1'],
    ['ipv4/ip_forward', '1'],
    // What has been given a backend leaves by the interface it came by: the backend must not be told to be reached directly.
    ['ipv4/conf/all/send_redirects', '0'],
    ['ipv4/conf/default/send_redirects', '0'],
    ['ipv4/conf/all/rp_filter', '0'],
    ['ipv4/conf/default/rp_filter', '0'],
    ['ipv6/conf/all/disable_ipv6', v6 ? '0' : '1'],
    ['ipv6/conf/default/disable_ipv6', v6 ? '0' : '1'],
    ['ipv6/conf/default/accept_ra', '0'],
    ...(v6 ? [['ipv6/conf/all/forwarding', '1'] as [string, string]] : []),
  ];
}

/** Settings that links have of their own once they are there. */
const LINK_SETTINGS: readonly [path: string, value: string][] = [
  ['ipv4/conf/br0/send_redirects', '0'],
  ['ipv4/conf/br0/rp_filter', '0'],
];

/**
 * Writes settings that differ, inside the namespace that this thread is in; sentences about them. `failed-precondition`
 * when the kernel has no bridge netfilter.
 */
export function writeSettings(network: NodeNetwork, linksMade: boolean): string[] {
  const sentences: string[] = [];
  for (const [name, value] of linksMade ? LINK_SETTINGS : settingsFor(network)) {
    const file = `/proc/sys/net/${name}`;
    try {
      if (readFileSync(file, 'utf8').trim() === value) continue;
      writeFileSync(file, value);
      sentences.push(`${name.replaceAll('/', '.')} was not ${value}`);
    } catch (thrown) {
      // Only a kernel without IPv6, or without what is named here, lacks one.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT' || name.startsWith('ipv4')) throw thrown;
      if (name !== 'bridge/bridge-nf-call-iptables') continue;
      throw new SwarmdError('failed-precondition', 'virtual IPs need bridge netfilter: run `modprobe br_netfilter`');
    }
  }
  return sentences;
}
