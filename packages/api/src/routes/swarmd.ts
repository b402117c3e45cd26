import { type RecoveryRequest, SwarmdError } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';

/** `/swarmd/…`: what the Docker Engine API has no words for. */
export async function swarmdRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  app.get<{ Params: { id: string } }>('/swarmd/services/:id/why', async ({ params }) =>
    requireControl(membership).explainService(params.id),
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
