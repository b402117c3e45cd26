import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { run, tryRun } from './command.js';
import { gatewayAddress } from './network.js';
import { type LabState, labNames, labsRoot, loadLab, saveLab, type UplinkState } from './state.js';

/** Every lab lives in 198.18.0.0/15, which RFC 2544 sets apart for tests: nobody's network, no Docker pool. */
const subnetPrefix = '198.18';
const forwardingFile = '/proc/sys/net/ipv4/ip_forward';

/** Subnet of every lab without a way out: they cannot see each other, so they can all have the same. */
export const isolatedSubnet = `${subnetPrefix}.0`;

/** The link's name carries the number of the subnet, so making the link is what reserves the number. */
function linkName(number: number): string {
  return `swl${number}`;
}

/**
 * Connects a lab's hub with the machine: a subnet that no other lab and no route of the machine uses, masquerading in
 * a table of our own. Changes `lab.subnet` and saves it. The hub must not exist yet: see {@link plugUplink}.
 */
export async function reserveUplink(lab: LabState): Promise<void> {
  const routes = await run(['ip', '-4', '-o', 'route', 'show', 'table', 'all']);
  for (let number = 1; number < 255; number += 1) {
    const link = linkName(number);
    if (routes.includes(`${subnetPrefix}.${number}.`)) continue;
    const made = await tryRun(['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', `${link}h`]);
    if (made.code !== 0) {
      if (/exists/i.test(made.stderr)) continue;
      throw new SwarmdError('unavailable', `cannot make the uplink: ${made.stderr.trim()}`);
    }
    lab.subnet = `${subnetPrefix}.${number}`;
    lab.uplink = { link, table: `swarmd_lab_${number}`, acceptChain: null };
    saveLab(lab);
    return;
  }
  throw new SwarmdError('unavailable', `no free subnet in ${subnetPrefix}.0.0/16 for a lab with an uplink`);
}

/** Plugs the reserved uplink into the hub and lets the hosts' packets through this machine. */
export async function plugUplink(lab: LabState): Promise<void> {
  const uplink = lab.uplink!;
  await run(['ip', 'link', 'set', `${uplink.link}h`, 'netns', lab.hubNamespace]);
  await run(['ip', '-n', lab.hubNamespace, 'link', 'set', `${uplink.link}h`, 'master', 'br0', 'up']);
  await run(['ip', 'link', 'set', uplink.link, 'up']);
  await run(['ip', 'addr', 'add', `${gatewayAddress(lab.subnet)}/24`, 'dev', uplink.link]);
  const rules = `table ip ${uplink.table} {
    chain postrouting {
      type nat hook postrouting priority srcnat; policy accept;
      ip saddr ${lab.subnet}.0/24 oifname != "${uplink.link}" masquerade
    }
  }`;
  await run(['nft', '-f', '-'], { input: rules });
  if (readFileSync(forwardingFile, 'utf8').trim() === '0') {
    writeFileSync(forwardingMarker(), '');
    writeFileSync(forwardingFile, '1');
  }
  uplink.acceptChain = await droppingChain();
  saveLab(lab);
  if (uplink.acceptChain) await changeAccepts(uplink, uplink.acceptChain, '-I');
}

/** Takes back everything {@link plugUplink} and {@link reserveUplink} did to the machine. */
export async function removeUplink(lab: LabState): Promise<void> {
  const { uplink } = lab;
  if (!uplink) return;
  if (uplink.acceptChain) await changeAccepts(uplink, uplink.acceptChain, '-D');
  await tryRun(['nft', 'delete', 'table', 'ip', uplink.table]);
  await tryRun(['ip', 'link', 'del', uplink.link]);
  // On disk alone: of two labs removed at once the later one must see that the other has no uplink any more.
  saveLab({ ...lab, uplink: null });
  if (labNames().some((name) => name !== lab.name && loadLab(name)?.uplink)) return;
  if (!existsSync(forwardingMarker())) return;
  // An engine of this machine needs it too.
  if ((await tryRun(['ip', 'link', 'show', 'docker0'])).code !== 0) writeFileSync(forwardingFile, '0');
  rmSync(forwardingMarker(), { force: true });
}

/** Exists while forwarding is on because of labs; the last one to go turns it off again. */
function forwardingMarker(): string {
  return join(labsRoot(), '.forwarding-was-off');
}

/** The chain to put accept rules in when the machine's iptables drop forwarded packets, as Docker makes them. */
async function droppingChain(): Promise<string | null> {
  const forward = await tryRun(['iptables', '-w', '-S', 'FORWARD']).catch(() => null);
  if (forward?.code !== 0 || !forward.stdout.includes('-P FORWARD DROP')) return null;
  const user = await tryRun(['iptables', '-w', '-S', 'DOCKER-USER']);
  return user.code === 0 ? 'DOCKER-USER' : 'FORWARD';
}

async function changeAccepts(uplink: UplinkState, chain: string, action: '-I' | '-D'): Promise<void> {
  for (const direction of ['-i', '-o']) {
    await tryRun(['iptables', '-w', action, chain, direction, uplink.link, '-j', 'ACCEPT']);
  }
}
