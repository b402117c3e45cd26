import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';

/** `/swarmd/…`: what the Docker Engine API has no words for. */
export async function swarmdRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  app.get<{ Params: { id: string } }>('/swarmd/services/:id/why', async ({ params }) =>
    requireControl(membership).explainService(params.id),
  );
}
