import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { filters, type Query } from '../http/query.js';
import { sendList } from '../http/send-list.js';

/** `/tasks`: list and inspect. */
export async function taskRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  app.get<{ Querystring: Query }>('/tasks', async ({ query }, reply) =>
    sendList(reply, await requireControl(membership).listTasks(withSelf(filters(query), membership.info().NodeID))),
  );
  app.get<{ Params: { id: string } }>('/tasks/:id', async ({ params }) =>
    requireControl(membership).getTask(params.id),
  );
}

/** Filters in which the node `self` is this one. */
function withSelf(
  given: Readonly<Record<string, readonly string[]>>,
  nodeId: string,
): Readonly<Record<string, readonly string[]>> {
  const nodes = given['node'];
  return nodes?.includes('self') ? { ...given, node: nodes.map((n) => (n === 'self' ? nodeId : n)) } : given;
}
