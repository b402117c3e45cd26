import { type RecoveryRequest, SwarmdError } from '@swarmd/model';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { flag, type Query, text } from '../http/query.js';

/** `/swarmd/…`: what the Docker Engine API has no words for. */
export async function swarmdRoutes(app: FastifyInstance, { membership, closing }: ApiContext): Promise<void> {
  app.get<{ Params: { id: string } }>('/swarmd/services/:id/why', async ({ params }) =>
    requireControl(membership).explainService(params.id),
  );
  app.get<{ Params: { id: string } }>('/swarmd/services/:id/endpoints', async ({ params }) =>
    requireControl(membership).serviceEndpoints(params.id),
  );
  app.get<{ Querystring: Query }>('/swarmd/doctor', async ({ query }, reply) => {
    const repair = flag(query, 'repair');
    const node = text(query, 'node');
    const options = { repair, ...(node === '' ? {} : { node }) };
    return requireControl(membership).doctor(options, callerGone(reply, closing));
  });
  app.get<{ Querystring: Query }>('/swarmd/trace', async ({ query }, reply) => {
    const [from, to] = [text(query, 'from'), text(query, 'to')];
    for (const [field, value] of Object.entries({ from, to }))
      if (value === '') throw new SwarmdError('invalid-argument', `${field} must name an end of the trace`, { field });
    const port = Number(text(query, 'port'));
    return requireControl(membership).trace({ from, to, port }, callerGone(reply, closing));
  });
  app.post<{ Body: { Remove?: unknown; Force?: unknown } | undefined }>('/swarmd/cleanup', async ({ body }) =>
    // Nothing is done unless it is asked for in so many words.
    membership.cleanup({ remove: body?.Remove === true, force: body?.Force === true }),
  );
  app.get('/swarmd/check', async () => membership.check());
  app.post<{ Body: unknown }>('/swarmd/recover', async ({ body }) => membership.recover(recoveryRequest(body)));
  app.post<{ Body: { Addrs?: unknown } | undefined }>('/swarmd/managers', async ({ body }, reply) => {
    const addrs = body?.Addrs;
    if (!Array.isArray(addrs) || addrs.length === 0 || addrs.some((addr) => typeof addr !== 'string'))
      throw new SwarmdError('invalid-argument', 'Addrs must be addresses of managers', { field: 'Addrs' });
    await membership.findManagers(addrs as string[]);
    return reply.send();
  });
}

/** Fires when nobody waits for the answer any more. */
function callerGone({ raw }: FastifyReply, closing: AbortSignal): AbortSignal {
  const gone = new AbortController();
  raw.on('close', () => gone.abort(new SwarmdError('aborted', 'nobody waits for the answer any more')));
  return AbortSignal.any([gone.signal, closing]);
}

function recoveryRequest(body: unknown): RecoveryRequest {
  const given = (body ?? {}) as Record<string, unknown>;
  const text = (name: string): string => (typeof given[name] === 'string' ? given[name] : '');
  return {
    // Nothing is done unless it is asked for in so many words.
    DryRun: given['DryRun'] !== false,
    AllowOlder: given['AllowOlder'] === true,
    Force: given['Force'] === true,
    ListenAddr: text('ListenAddr'),
    AdvertiseAddr: text('AdvertiseAddr'),
  };
}
