import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { Commands, KernelNamespaces } from '../kernel/index.js';
import { type LocalPort, NAME_PORTS } from '../parts.js';
import { isInside } from './resolve.js';
import { ENGINE_ASKER, ENGINE_SERVER } from './upstreams.js';

/** Named as that in the namespaces of networks: what is loaded is told by the same mark. */
const TABLE = 'inet swarmd';

/** What is needed to change rules in containers' namespaces. */
export interface RedirectDeps {
  namespaces: KernelNamespaces;
  commands: Commands;
}

/** As `redirect` of a name server. Rules that are there already are not written again, and nothing is started. */
export async function redirect(
  { namespaces, commands }: RedirectDeps,
  sandbox: string,
  by: { network: NodeNetwork; port: LocalPort } | undefined,
): Promise<void> {
  const standing = markIn(namespaces, sandbox);
  if (by === undefined) {
    if (standing !== '') await commands.nft(sandbox, [`add table ${TABLE}`, `delete table ${TABLE}`]);
    return;
  }
  const own = by.port.addresses.find(isIPv4) ?? '';
  const gateway = by.network.subnets.find(({ subnet }) => isInside(subnet, own))?.gateway;
  if (gateway === undefined) return;
  const rules = redirectRules(gateway);
  const mark = createHash('sha256').update(rules.join('\n')).digest('hex').slice(0, 32);
  if (standing !== mark) {
    await commands.nft(sandbox, [
      ...[`add table ${TABLE}`, `delete table ${TABLE}`, ...rules],
      ...[`add chain ${TABLE} applied`, `add rule ${TABLE} applied return comment "${mark}"`],
    ]);
  }
  // What is sent from 127.0.0.1 may leave by an interface then, and the answer come back. The rules come first: they
  // keep others out.
  namespaces.inside(sandbox, () => writeFileSync('/proc/sys/net/ipv4/conf/all/route_localnet', '1'));
}

/** The engine makes a file before the namespace is mounted on it. */
function markIn(namespaces: KernelNamespaces, sandbox: string): string {
  const early = (cause?: unknown) =>
    new SwarmdError('not-found', `the container's namespace ${sandbox} is not there`, { cause });
  if (!existsSync(sandbox)) throw early();
  try {
    return namespaces.mark(sandbox);
  } catch (cause) {
    throw early(cause);
  }
}

/**
 * The first rule that gives a connection an address decides: those of the engine have the priorities -100 and 100. The
 * source becomes the container's own address on the network, which tells who asks. Nothing here needs the interface: a
 * program asks as soon as it runs, and that is soon after the engine has moved the interface inside.
 */
function redirectRules(gateway: string): string[] {
  const asked = `ip daddr ${ENGINE_SERVER} ip saddr != ${ENGINE_ASKER}`;
  const redirected = `oifname != "lo" ip saddr 127.0.0.0/8 ip daddr ${gateway}`;
  return [
    `add table ${TABLE}`,
    `add chain ${TABLE} output { type nat hook output priority -150; }`,
    `add chain ${TABLE} postrouting { type nat hook postrouting priority 50; }`,
    `add chain ${TABLE} prerouting { type filter hook prerouting priority -310; }`,
    ...['udp', 'tcp'].flatMap((protocol) => [
      `add rule ${TABLE} output ${asked} ${protocol} dport 53 dnat ip to ${gateway}:${NAME_PORTS.redirected}`,
      `add rule ${TABLE} postrouting ${redirected} ${protocol} dport ${NAME_PORTS.redirected} masquerade`,
    ]),
    // That it may receive for 127.0.0.0/8 must let nobody else in.
    `add rule ${TABLE} prerouting iifname != "lo" ip daddr 127.0.0.0/8 drop`,
  ];
}
