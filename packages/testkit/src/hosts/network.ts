import { existsSync } from 'node:fs';
import { SwarmdError } from '@swarmd/model';
import { run, tryRun } from './command.js';
import type { HostState, LabState } from './state.js';

/** Address of the hub itself, from which `lab.client` speaks to the hosts. */
export function hubAddress(subnet: string): string {
  return `${subnet}.2`;
}

/** Port of a lab's registry on the hub's address. */
export const registryPort = 5000;

/** Address of the way out, on the machine's side of the uplink. */
export function gatewayAddress(subnet: string): string {
  return `${subnet}.1`;
}

/** A MAC address that follows from the IP, so that a host is recognised after it was rebuilt. */
export function macAddressFor(ip: string): string {
  return ['02', '73', ...ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

/** Makes the hub: a namespace of its own with a bridge that no firewall rule of this machine can reach. */
export async function createHub(lab: LabState): Promise<void> {
  await run(['ip', 'netns', 'add', lab.hubNamespace]);
  await batch(lab.hubNamespace, [
    'link set lo up',
    'link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    `link set br0 address ${macAddressFor(hubAddress(lab.subnet))} up`,
    `addr add ${hubAddress(lab.subnet)}/24 dev br0`,
  ]);
  await insideNamespace(lab.hubNamespace, [
    'sh',
    '-c',
    'for f in /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables; do if [ -e $f ]; then echo 0 >$f; fi; done',
  ]);
}

/** Makes a host's namespace and plugs it into the hub. The port on the hub bears the host's name. */
export async function plugHost(lab: LabState, host: HostState): Promise<void> {
  await run(['ip', 'netns', 'add', host.namespace]);
  await batch(lab.hubNamespace, [
    `link add p-${host.name} type veth peer name eth0 netns ${host.namespace}`,
    host.connected ? `link set p-${host.name} master br0 up` : `link set p-${host.name} up`,
  ]);
  await batch(host.namespace, [
    'link set lo up',
    `link set eth0 address ${host.macAddress} up`,
    `addr add ${host.ip}/24 dev eth0`,
    // Without a way out there is no default route, so that what leaves the lab fails at once.
    ...(lab.uplink ? [`route add default via ${gatewayAddress(lab.subnet)}`] : []),
  ]);
}

/**
 * Loses every IP packet that one host sends another, or carries them again. The rule stands on the hub, so that it
 * outlives both hosts.
 */
export async function setBlocked(lab: LabState, from: HostState, to: HostState, blocked: boolean): Promise<void> {
  const commands = [
    'add table bridge cuts',
    'add set bridge cuts pairs { type ipv4_addr . ipv4_addr; }',
    'add chain bridge cuts forward { type filter hook forward priority 0; }',
    'flush chain bridge cuts forward',
    'add rule bridge cuts forward ip saddr . ip daddr @pairs drop',
    // Adding first makes the deletion of what is not there harmless.
    `add element bridge cuts pairs { ${from.ip} . ${to.ip} }`,
    ...(blocked ? [] : [`delete element bridge cuts pairs { ${from.ip} . ${to.ip} }`]),
  ];
  await run(['nsenter', `--net=/run/netns/${lab.hubNamespace}`, '--', 'nft', '-f', '-'], {
    input: `${commands.join('\n')}\n`,
  });
}

/** Takes a host's cable out of the hub, or puts it back; neither end notices a lost carrier. */
export async function setConnected(lab: LabState, host: HostState, connected: boolean): Promise<void> {
  const where = connected ? ['master', 'br0'] : ['nomaster'];
  await run(['ip', '-n', lab.hubNamespace, 'link', 'set', `p-${host.name}`, ...where]);
}

/** Pulls a host's port out of the hub. A namespace's own end lingers for a while after its last process has died. */
export async function unplugHost(lab: LabState, host: HostState): Promise<void> {
  await tryRun(['ip', '-n', lab.hubNamespace, 'link', 'del', `p-${host.name}`]);
}

/** Removes a namespace with every device in it; one that is not there is fine. */
export async function deleteNamespace(namespace: string): Promise<void> {
  if (!existsSync(`/run/netns/${namespace}`)) return;
  const result = await tryRun(['ip', 'netns', 'del', namespace]);
  if (result.code !== 0 && existsSync(`/run/netns/${namespace}`)) {
    throw new SwarmdError('internal', `cannot remove network namespace ${namespace}: ${result.stderr.trim()}`);
  }
}

/** Runs a command in a network namespace, leaving every other namespace as it is. */
export function insideNamespace(namespace: string, argv: readonly string[]): Promise<string> {
  return run(['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv]);
}

function batch(namespace: string, lines: readonly string[]): Promise<string> {
  return run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
