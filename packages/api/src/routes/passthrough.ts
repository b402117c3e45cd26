import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { proxyRequest } from '../engine/proxy.js';

/** Everything else belongs to the local engine: containers, images, volumes, builds, registries. */
export async function passthroughRoutes(app: FastifyInstance, { engine }: ApiContext): Promise<void> {
  app.removeAllContentTypeParsers();
  // The body stays unread here: it streams on to the engine.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.all('/*', async (request, reply) => {
    reply.hijack();
    await proxyRequest(engine, request.originalUrl, request.raw, reply.raw);
    return reply;
  });
}
