import { type DataPathConfig, SwarmdError } from '@swarmd/model';
import { canonicalAddress, familyOf } from './addresses.js';

/** Table in the host's namespace that only the guard is in. */
const GUARD_TABLE = 'inet swarmd';

/**
 * Commands of nft that let VXLAN packets in only from peers, as one transaction. Anybody who can send a datagram to the
 * port and guess a VNI could speak to containers otherwise.
 */
export function guardRules(config: DataPathConfig): string[] {
  if (!Number.isInteger(config.port) || config.port < 1 || config.port > 65535) {
    throw new SwarmdError('invalid-argument', `invalid port ${config.port}: must be 1 to 65535`, { field: 'port' });
  }
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
  return [
    `add table ${GUARD_TABLE}`,
    ...fill(4),
    ...fill(6),
    // Before the filters of others, and only for what is for this host.
    `add chain ${GUARD_TABLE} guard { type filter hook input priority -10; }`,
    `flush chain ${GUARD_TABLE} guard`,
    `add rule ${GUARD_TABLE} guard udp dport ${config.port} ip saddr != @peers4 drop`,
    `add rule ${GUARD_TABLE} guard udp dport ${config.port} ip6 saddr != @peers6 drop`,
  ];
}

/** Commands of nft that take the guard away, whether it is there or not. */
export function noGuardRules(): string[] {
  return [`add table ${GUARD_TABLE}`, `delete table ${GUARD_TABLE}`];
}
