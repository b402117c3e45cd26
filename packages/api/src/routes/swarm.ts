import { type ClusterSpec, type InitRequest, type JoinRequest, SwarmdError } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { flag, type Query, version } from '../http/query.js';

const ALREADY_IN =
  'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.';
const NOT_IN = 'This node is not part of a swarm';

/** `/swarm`: init, join, leave, inspect, update, unlock key. */
export async function swarmRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  const refuseIfMember = (): void => {
    if (membership.info().LocalNodeState !== 'inactive') throw new SwarmdError('unavailable', ALREADY_IN);
  };

  app.get('/swarm', async () => requireControl(membership).getCluster());
  app.post<{ Body: InitRequest | undefined }>('/swarm/init', async ({ body }, reply) => {
    if (!body?.ForceNewCluster) refuseIfMember();
    const id = await membership.init(body ?? {});
    // A bare JSON string: fastify would send it as plain text.
    return reply.type('application/json').send(JSON.stringify(id));
  });
  app.post<{ Body: JoinRequest | undefined }>('/swarm/join', async ({ body }, reply) => {
    refuseIfMember();
    await membership.join({ ...body, RemoteAddrs: body?.RemoteAddrs ?? [], JoinToken: body?.JoinToken ?? '' });
    return reply.send();
  });
  app.post<{ Querystring: Query }>('/swarm/leave', async ({ query }, reply) => {
    if (membership.info().LocalNodeState === 'inactive') throw new SwarmdError('unavailable', NOT_IN);
    await membership.leave(flag(query, 'force'));
    return reply.send();
  });
  app.post<{ Querystring: Query; Body: ClusterSpec | undefined }>('/swarm/update', async ({ query, body }, reply) => {
    await requireControl(membership).updateCluster(version(query, 'swarm'), body ?? {}, {
      workerToken: flag(query, 'rotateWorkerToken'),
      managerToken: flag(query, 'rotateManagerToken'),
      managerUnlockKey: flag(query, 'rotateManagerUnlockKey'),
    });
    return reply.send();
  });
  app.get('/swarm/unlockkey', async () => requireControl(membership).getUnlockKey());
  app.post<{ Body: { UnlockKey?: unknown } | undefined }>('/swarm/unlock', async ({ body }, reply) => {
    // A node that is not locked says what it is.
    if (membership.info().LocalNodeState !== 'locked') requireControl(membership);
    await membership.unlock(typeof body?.UnlockKey === 'string' ? body.UnlockKey : '');
    return reply.send();
  });
}
