import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { filters, flag, type Query, version } from '../http/query.js';
import { sendList } from '../http/send-list.js';

type WithId = { Params: { id: string }; Querystring: Query };

/** `/nodes`: list, inspect, update (role, availability, labels), remove. */
export async function nodeRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  const control = () => requireControl(membership);

  app.get<{ Querystring: Query }>('/nodes', async ({ query }, reply) =>
    sendList(reply, await control().listNodes(filters(query))),
  );
  app.get<WithId>('/nodes/:id', async ({ params }) => control().getNode(params.id));
  app.post<WithId>('/nodes/:id/update', async ({ params, query, body }, reply) => {
    await control().updateNode(params.id, version(query, 'node'), body);
    return reply.send();
  });
  app.delete<WithId>('/nodes/:id', async ({ params, query }, reply) => {
    await control().removeNode(params.id, flag(query, 'force'));
    return reply.send();
  });
}
