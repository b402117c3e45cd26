import type { Random } from '@swarmd/model';
import type { Asker, NameSource } from '../parts.js';
import { foldName, type NamedAddresses, type NameTables } from './name-table.js';
import { resolveName, resolveReverse, shuffled } from './resolve.js';
import { type Upstream, upstreamsOf } from './upstreams.js';
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
  /** Others are asked, at least one; `otherwise` is the answer when none has one. */
  | { kind: 'forward'; query: Query; servers: readonly Upstream[]; otherwise: Buffer };

/** Where a packet came from: a network, the address there, and over what. */
export interface Origin {
  networkId: string;
  address: string;
  via: 'udp' | 'tcp';
  /** Whether it was meant for the engine's own server. */
  redirected: boolean;
}

/** What {@link decide} looks into. */
export interface DecideDeps {
  asker: NameSource['asker'];
  tables: NameTables;
  random: Random;
  /** The host's name servers, as of now. */
  ofHost: () => readonly string[];
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
  const local = answerLocally(query, asker, origin, deps);
  if (local !== undefined) return answer({ ...local, authoritative: true });
  const { servers, closed } = upstreamsOf(asker, origin.redirected, deps.ofHost, deps.tables);
  const otherwise = closed ? { rcode: RCODE.NXDOMAIN, authoritative: true } : { rcode: RCODE.SERVFAIL };
  if (servers.length === 0) return answer(otherwise);
  return { kind: 'forward', query, servers, otherwise: writeReply(query, otherwise) };
}

function answerLocally(
  query: Query,
  asker: Asker,
  { redirected }: Origin,
  { tables, random }: DecideDeps,
): Reply | undefined {
  const found = resolveName(query.name, asker, tables);
  if (found !== undefined) return { rcode: RCODE.NOERROR, records: recordsOf(query.type, found, random) };
  if (!foldName(query.name).endsWith('.arpa')) return undefined;
  const reverse = resolveReverse(query.name, asker, tables);
  if (reverse.kind === 'elsewhere') return undefined;
  // The engine may know a container that no manager has told of yet.
  if (reverse.kind === 'nobody') return redirected && asker.plain ? undefined : { rcode: RCODE.NXDOMAIN };
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
