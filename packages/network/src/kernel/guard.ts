import { createHash } from 'node:crypto';
import { type DataPathConfig, SwarmdError } from '@swarmd/model';
import { canonicalAddress, familyOf } from './addresses.js';

/** Table in the host's namespace that only the guard is in. */
const GUARD_TABLE = 'inet swarmd';

/**
 * Commands of nft that let VXLAN packets in only from peers, as one transaction. Anybody who can send a datagram to the
 * port and guess a VNI could speak to containers otherwise.
 */
export function guardRules(config: DataPathConfig): string[] {
  checkPort(config);
  familyOf(config.addr, 'addr');
  const peers: Record<4 | 6, string[]> = { 4: [], 6: [] };
  for (const peer of config.peers) peers[familyOf(peer, 'peers')].push(canonicalAddress(peer));
  const fill = (family: 4 | 6): string[] => [
    `add set ${GUARD_TABLE} peers${family} { type ipv${family}_addr; }`,
    `flush set ${GUARD_TABLE} peers${family}`,
    ...(peers[family].length > 0
      ? [`add element ${GUARD_TABLE} peers${family} { ${[...new Set(peers[family])].join(', ')} }`]
      : []),
  ];
  const mark = `comment "${guardMark(config)}"`;
  return [
    `add table ${GUARD_TABLE}`,
    ...fill(4),
    ...fill(6),
    // Before the filters of others, and only for what is for this host.
    `add chain ${GUARD_TABLE} guard { type filter hook input priority -10; }`,
    `flush chain ${GUARD_TABLE} guard`,
    `add rule ${GUARD_TABLE} guard udp dport ${config.port} ip saddr != @peers4 drop ${mark}`,
    `add rule ${GUARD_TABLE} guard udp dport ${config.port} ip6 saddr != @peers6 drop ${mark}`,
  ];
}

/** Commands of nft that take the guard away, whether it is there or not. */
export function noGuardRules(): string[] {
  return [`add table ${GUARD_TABLE}`, `delete table ${GUARD_TABLE}`];
}

/** Argument of nft that shows what {@link guardStands} looks at. */
export const GUARD_LISTING: readonly string[] = ['nft', 'list', 'chain', ...GUARD_TABLE.split(' '), 'guard'];

/** Whether the rules are there that {@link guardRules} made of this `config`. */
export function guardStands(listing: string, config: DataPathConfig): boolean {
  return listing.split(guardMark(config)).length === 3;
}

/** Tells rules of one configuration from those of another. */
function guardMark(config: DataPathConfig): string {
  const told = JSON.stringify([config.port, [...config.peers].sort()]);
  return createHash('sha256').update(told).digest('hex').slice(0, 16);
}

function checkPort(config: DataPathConfig): void {
  if (!Number.isInteger(config.port) || config.port < 1 || config.port > 65535) {
    throw new SwarmdError('invalid-argument', `invalid port ${config.port}: must be 1 to 65535`, { field: 'port' });
  }
}
