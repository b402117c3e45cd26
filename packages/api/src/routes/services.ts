import type { ServiceWriteOptions } from '@swarmd/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { filters, flag, type Query, text, version } from '../http/query.js';
import { sendList } from '../http/send-list.js';

type WithId = { Params: { id: string }; Querystring: Query };

/** `/services`: list, inspect, create, update (rollback included), remove. Logs are in their own file. */
export async function serviceRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  const control = () => requireControl(membership);

  app.get<{ Querystring: Query }>('/services', async ({ query }, reply) =>
    sendList(reply, await control().listServices(filters(query), { status: flag(query, 'status') })),
  );
  app.get<WithId>('/services/:id', async ({ params, query }) =>
    control().getService(params.id, { insertDefaults: flag(query, 'insertDefaults') }),
  );
  app.post('/services/create', async (request, reply) => {
    const { ID, Warnings } = await control().createService(request.body, writeOptions(request, {}));
    return reply.code(201).send(Warnings.length > 0 ? { ID, Warnings } : { ID });
  });
  app.post<WithId>('/services/:id/update', async (request) => {
    const { params, query, body } = request;
    const options = writeOptions(request, query);
    const { Warnings } = await control().updateService(params.id, version(query, 'service'), body, options);
    return { Warnings: Warnings.length > 0 ? Warnings : null };
  });
  app.delete<WithId>('/services/:id', async ({ params }, reply) => {
    await control().removeService(params.id);
    return reply.send();
  });
}

function writeOptions(request: FastifyRequest, query: Query): ServiceWriteOptions {
  const auth = request.headers['x-registry-auth'];
  const from = text(query, 'registryAuthFrom');
  const rollback = text(query, 'rollback');
  return {
    ...(typeof auth === 'string' && hasCredentials(auth) ? { registryAuth: auth } : {}),
    ...(from === 'spec' || from === 'previous-spec' ? { registryAuthFrom: from } : {}),
    // Control refuses what is not `previous`.
    ...(rollback !== '' && rollback !== 'none' ? { rollback: rollback as 'previous' } : {}),
  };
}

/** Clients without credentials send none, an empty object, or one in base64. */
function hasCredentials(auth: string): boolean {
  const decoded = Buffer.from(auth, 'base64').toString('utf8').trim();
  return decoded !== '' && decoded !== '{}';
}
