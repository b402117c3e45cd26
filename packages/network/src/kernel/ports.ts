import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { LocalPort } from '../parts.js';
import type { KernelView } from './kernel-view.js';

/** Names of the two ends of a container's pair of interfaces. */
export interface PortNames {
  /** In the host's namespace, until the engine takes it into the container. */
  outside: string;
  /** In the network's namespace, a port of its bridge. */
  inside: string;
}

/** Interface names have at most 15 characters. */
const ID_LENGTH = 12;

/** The names follow from the endpoint's ID, so that nothing has to be kept. */
export function portNames(endpointId: string): PortNames {
  // The engine's IDs are long and random; others might share a beginning, or not be fit for a name.
  const short = /^[0-9a-f]{64}$/.test(endpointId)
    ? endpointId.slice(0, ID_LENGTH)
    : createHash('sha256').update(endpointId).digest('hex').slice(0, ID_LENGTH);
  return { outside: `vc${short}`, inside: `p${short}` };
}

/** Lines of `ip`, run in the network's namespace, that make a pair; its outer end goes to the namespace `hostPath`. */
export function pairLines(network: NodeNetwork, port: LocalPort, hostPath: string): string[] {
  checkPort(port);
  const { outside, inside } = portNames(port.endpointId);
  const { mtu } = network;
  return [
    `-link del ${inside}`,
    `link add ${inside} mtu ${mtu} type veth peer name ${outside} address ${port.macAddress} mtu ${mtu} netns ${hostPath}`,
    ...joinLines(inside),
  ];
}

/** Lines of `ip` that make an interface a port of the bridge: a task may reach itself, and no address is learned. */
function joinLines(inside: string): string[] {
  return [`link set ${inside} master br0 up`, `link set ${inside} type bridge_slave hairpin on learning off`];
}

/** The line of `bridge` that tells where a container is. */
export function portLine(port: LocalPort): string {
  return `fdb replace ${port.macAddress} dev ${portNames(port.endpointId).inside} master static`;
}

/** What is to be mended about a container's port. */
export interface PortSteps {
  ip: string[];
  bridge: string[];
  sentences: string[];
}

/** What the ports of this node's containers lack. An interface that is gone cannot be mended: that is only said. */
export function portSteps(ports: readonly LocalPort[], { links, forwarding }: KernelView): PortSteps {
  const steps: PortSteps = { ip: [], bridge: [], sentences: [] };
  const known = new Set(forwarding.filter(({ fixed }) => fixed).map(({ macAddress, link }) => `${macAddress} ${link}`));
  for (const port of ports) {
    const { inside } = portNames(port.endpointId);
    const who = port.addresses[0] ?? port.endpointId;
    const link = links.get(inside);
    if (!link) {
      steps.sentences.push(`the interface of ${who} is gone: its container must be started anew`);
      continue;
    }
    const joined = link.master === 'br0' && link.up;
    if (!joined || !link.port.hairpin || link.port.learning) {
      steps.ip.push(...joinLines(inside));
      steps.sentences.push(`the interface of ${who} was not in the bridge as it should be`);
    }
    if (joined && known.has(`${port.macAddress} ${inside}`)) continue;
    steps.bridge.push(portLine(port));
    steps.sentences.push(`the bridge did not know where ${who} is`);
  }
  return steps;
}

function checkPort(port: LocalPort): void {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(port.macAddress)) {
    const message = `invalid macAddress '${port.macAddress}': must be six bytes in hexadecimal, lower case, with colons`;
    throw new SwarmdError('invalid-argument', message, { field: 'macAddress' });
  }
  const bad = port.addresses.find((address) => isIP(address) === 0);
  if (bad !== undefined) {
    throw new SwarmdError('invalid-argument', `invalid address '${bad}': must be an IP address`, {
      field: 'addresses',
    });
  }
}
