import { createHash } from 'node:crypto';
import { list, type NetlinkQuery } from './netlink.js';
import { MARK_CHAIN, TABLE } from './rules.js';
import type { NetworkTables } from './tables.js';

// Numbers of linux/netfilter/nfnetlink.h and nf_tables.h; "inet" is one of the families.
const NFPROTO_INET = 1;
const NFT_MSG_GETRULE = (10 << 8) | 7;
const RULE = { table: 1, chain: 2, userData: 7 };
const COMMENT = 0;
const TABLE_NAME = TABLE.split(' ')[1]!;

const markQuery: NetlinkQuery = {
  type: NFT_MSG_GETRULE,
  family: NFPROTO_INET,
  headerBytes: 4,
  only: new Map([
    [RULE.table, TABLE_NAME],
    [RULE.chain, MARK_CHAIN],
  ]),
};

/**
 * Tells the rules that follow from `tables` from all others. It is written with them, in one transaction: the next
 * process sees by it that nothing has changed, and need not have all rules listed.
 */
export function markOf(tables: NetworkTables): string {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const told = [tables.base, sorted(tables.chains), sorted(tables.dispatch), [...tables.selves].sort()];
  return createHash('sha256').update(JSON.stringify(told)).digest('hex').slice(0, 32);
}

/** The mark in the namespace that the netlink socket `fd` (of netfilter) is of; empty without one. */
export function readMark(fd: number): string {
  const marks = list(fd, markQuery, ({ attributes }) => {
    const data = attributes.get(RULE.userData);
    return data?.[0] === COMMENT ? data.toString('latin1', 2, 2 + data[1]!).replace(/\0.*$/, '') : '';
  });
  return marks[0] ?? '';
}
