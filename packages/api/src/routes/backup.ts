import { Readable } from 'node:stream';
import { type BackupSecret, type RestoreRequest, SwarmdError } from '@swarmd/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { flag, type Query, text } from '../http/query.js';

/** The header with the secret of a backup in the body: base64 of its JSON, as `X-Registry-Auth` has it. */
const SECRET_HEADER = 'x-swarmd-backup-secret';

const IN_CLUSTER =
  'this node is in a cluster: a cluster is restored on a host that is in none ("swarmctl leave --force")';

/** `/swarmd/backup` (a sealed backup, streamed) and `/swarmd/restore` (the backup as body). */
export async function backupRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  app.post<{ Body: unknown }>('/swarmd/backup', async ({ body }, reply) => {
    const pieces = await requireControl(membership).createBackup(secretOf(body));
    return reply.type('application/octet-stream').send(Readable.from(pieces, { objectMode: false }));
  });
  // A scope of its own: the body is a file of any size.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scope.post<{ Querystring: Query }>('/swarmd/restore', async (request) => {
      try {
        if (membership.info().LocalNodeState !== 'inactive') throw new SwarmdError('unavailable', IN_CLUSTER);
        // A backup that is refused must not cost the connection, or nobody would hear why.
        return await membership.restore(restoreRequest(request), request.raw.iterator({ destroyOnReturn: false }));
      } finally {
        request.raw.resume();
      }
    });
  });
}

function restoreRequest({ query, headers }: FastifyRequest<{ Querystring: Query }>): RestoreRequest {
  const request: RestoreRequest = {
    Secret: secretOf(decodeHeader(headers[SECRET_HEADER])),
    AsNew: flag(query, 'asNew'),
    DryRun: flag(query, 'dryRun'),
    ListenAddr: text(query, 'listenAddr'),
    AdvertiseAddr: text(query, 'advertiseAddr'),
  };
  const node = text(query, 'node');
  return node === '' ? request : { ...request, Node: node };
}

function decodeHeader(header: string | string[] | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(String(header ?? ''), 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}

function secretOf(value: unknown): BackupSecret {
  const { Passphrase, RecoveryKey } = (value ?? {}) as Record<string, unknown>;
  if (typeof Passphrase === 'string' && Passphrase !== '') return { Passphrase };
  if (typeof RecoveryKey === 'string' && RecoveryKey !== '') return { RecoveryKey };
  throw new SwarmdError('invalid-argument', 'a backup needs a Passphrase or a RecoveryKey', { field: 'Passphrase' });
}
