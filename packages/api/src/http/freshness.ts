import { type Membership, SwarmdError } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';

/** How long a read waits for a majority of the managers. */
const FRESH_TIMEOUT_MS = 2_000;
/** A client that would rather have no answer than an old one says so with this header: `Swarmd-Consistency: strict`. */
const CONSISTENCY_HEADER = 'swarmd-consistency';
/** What answers carry that may be older than what other managers have acknowledged. */
const STALE_HEADER = 'Swarmd-Stale';
/** Reads of the local node, which need no cluster. */
const LOCAL: ReadonlySet<string> = new Set(['/_ping', '/version', '/info']);
/** Reads that are a POST because they need a body. */
const READS_BY_POST: ReadonlySet<string> = new Set(['/swarmd/backup']);

/**
 * Every read sees what was acknowledged before it, whichever manager was asked: it waits for the manager's copy of the
 * state to catch up. While too few managers are reachable the copy is served, marked by `Swarmd-Stale: true`, or refused
 * with 503 to clients that asked for `Swarmd-Consistency: strict`.
 */
export function freshReads(app: FastifyInstance, membership: Membership): void {
  app.addHook('preHandler', async (request, reply) => {
    const url = request.routeOptions.url ?? '';
    const reads = request.method === 'GET' || request.method === 'HEAD' || READS_BY_POST.has(url);
    if (!reads || LOCAL.has(url) || membership.control() === undefined) return;
    try {
      await membership.fresh(AbortSignal.timeout(FRESH_TIMEOUT_MS));
    } catch (cause) {
      if (request.headers[CONSISTENCY_HEADER] === 'strict') throw stale(cause);
      reply.header(STALE_HEADER, 'true');
    }
  });
}

function stale(cause: unknown): SwarmdError {
  const message = 'too few managers can be reached to tell whether this manager knows the latest state';
  return new SwarmdError('unavailable', message, { cause });
}
