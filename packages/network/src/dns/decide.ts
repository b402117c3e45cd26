import type { Random } from '@swarmd/model';
import type { Asker, NameSource } from '../parts.js';
import { canonicalAddress, foldName, type NamedAddresses, type NameTables } from './name-table.js';
import { resolveName, resolveReverse, shuffled } from './resolve.js';
import { type Query, RCODE, RECORD_TYPE, type RecordData, type Reply, readQuery, writeReply } from './wire.js';

/**
 * How long an answer may be kept, in seconds. Who keeps it meets tasks that have gone for that long: as short as a task
 * drains. Not 0, which some caches take for "for ever" and others for an error. Docker says 600.
 */
export const ANSWER_TTL_S = 2;

/** What to do with a packet. */
export type Decision =
  | { kind: 'drop' }
  | { kind: 'answer'; packet: Buffer }
  /** `dns` are the asker's own servers; empty for the host's. `not` are addresses never to ask: our own. */
  | { kind: 'forward'; query: Query; dns: readonly string[]; not: ReadonlySet<string> };

/** Where a packet came from: a network, the address there, and over what. */
export interface Origin {
  networkId: string;
  address: string;
  via: 'udp' | 'tcp';
}

/** What {@link decide} looks into. */
export interface DecideDeps {
  asker: NameSource['asker'];
  tables: NameTables;
  random: Random;
}

/** What to do with `packet`. Waits for nothing and changes nothing. */
export function decide(packet: Buffer, origin: Origin, deps: DecideDeps): Decision {
  const query = readQuery(packet, origin.via);
  if (query === undefined) return { kind: 'drop' };
  if (Buffer.isBuffer(query)) return { kind: 'answer', packet: query };
  const answer = (reply: Reply): Decision => ({ kind: 'answer', packet: writeReply(query, reply) });
  const asker = deps.asker(origin.networkId, origin.address);
  if (asker === undefined) return answer({ rcode: RCODE.REFUSED });
  if ((query.edns?.version ?? 0) > 0) return answer({ rcode: RCODE.BADVERS });
  if (query.class !== 1 || query.type === RECORD_TYPE.AXFR || query.type === RECORD_TYPE.IXFR) {
    return answer({ rcode: RCODE.REFUSED });
  }
  const local = answerLocally(query, asker, deps);
  if (local !== undefined) return answer({ ...local, authoritative: true });
  if (!asker.outside) return answer({ rcode: RCODE.NXDOMAIN, authoritative: true });
  return { kind: 'forward', query, dns: asker.dns, not: ownAddresses(asker, deps.tables) };
}

function answerLocally(query: Query, asker: Asker, { tables, random }: DecideDeps): Reply | undefined {
  const found = resolveName(query.name, asker, tables);
  if (found !== undefined) return { rcode: RCODE.NOERROR, records: recordsOf(query.type, found, random) };
  if (!foldName(query.name).endsWith('.arpa')) return undefined;
  const reverse = resolveReverse(query.name, asker, tables);
  if (reverse.kind === 'elsewhere') return undefined;
  if (reverse.kind === 'nobody') return { rcode: RCODE.NXDOMAIN };
  const asked = query.type === RECORD_TYPE.PTR || query.type === RECORD_TYPE.ANY;
  return { rcode: RCODE.NOERROR, records: asked ? [{ type: 'PTR', data: reverse.name, ttl: ANSWER_TTL_S }] : [] };
}

function recordsOf(type: number, found: NamedAddresses, random: Random): RecordData[] {
  const all = type === RECORD_TYPE.ANY;
  const v4 = all || type === RECORD_TYPE.A ? shuffled(found.v4, random) : [];
  const v6 = all || type === RECORD_TYPE.AAAA ? shuffled(found.v6, random) : [];
  return [
    ...v4.map((data): RecordData => ({ type: 'A', data, ttl: ANSWER_TTL_S })),
    ...v6.map((data): RecordData => ({ type: 'AAAA', data, ttl: ANSWER_TTL_S })),
  ];
}

function ownAddresses(asker: Asker, tables: NameTables): Set<string> {
  const subnets = asker.networkIds.flatMap((id) => tables.network(id)?.subnets ?? []);
  return new Set(subnets.flatMap(({ gateway }) => canonicalAddress(gateway) ?? []));
}
