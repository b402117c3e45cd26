import {
  asSwarmdError,
  DataPathConfigSchema,
  EndpointChangeSchema,
  ERROR_TABLE,
  NodeNetworkSchema,
  type NodeNetworks,
  PublishedServiceSchema,
  SwarmdError,
} from '@swarmd/model';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';

/** A complete set of a large network. */
const BODY_BYTES = 64 * 1024 * 1024;

/**
 * The agent's port as JSON over HTTP, one path per method. Errors are `{code, message, field}` with the status of their
 * code. Calls wait for `networks`.
 */
export function createControlServer(networks: Promise<NodeNetworks>, logger: Logger): FastifyInstance {
  const app = fastify({ logger: false, bodyLimit: BODY_BYTES, forceCloseConnections: true });
  app.setErrorHandler((error, request, reply) => {
    const { statusCode } = error as { statusCode?: number };
    const badRequest = statusCode !== undefined && statusCode < 500;
    const { code, message, field } = badRequest
      ? new SwarmdError('invalid-argument', (error as Error).message)
      : asSwarmdError(error);
    logger.warn({ method: request.method, url: request.url, code, err: error }, `refused: ${message}`);
    return reply.status(ERROR_TABLE[code].http).send({ code, message, field });
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .status(404)
      .send({ code: 'unimplemented', message: `swarmd-net does not know ${request.method} ${request.url}` }),
  );

  app.get('/status', async () => (await networks).status());
  app.get('/endpoints', async (request, reply) => {
    const { after } = checked(z.object({ after: z.string().default('') }), request.query);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    return (await networks).localEndpoints(after, gone.signal);
  });
  app.put('/config', async (request) => done((await networks).configure(body(DataPathConfigSchema, request))));
  app.put('/networks', async (request) => done((await networks).putNetwork(body(NodeNetworkSchema, request))));
  app.delete<{ Params: { id: string } }>('/networks/:id', async (request) =>
    done((await networks).removeNetwork(request.params.id)),
  );
  app.post('/changes', async (request) =>
    done((await networks).changeEndpoints(body(z.array(EndpointChangeSchema), request))),
  );
  app.put('/published', async (request) =>
    done((await networks).publish(body(z.array(PublishedServiceSchema), request))),
  );
  app.post('/reset', async () => done((await networks).reset()));
  return app;
}

async function done(work: Promise<void>): Promise<object> {
  await work;
  return {};
}

function body<S extends z.ZodType>(schema: S, request: FastifyRequest): z.infer<S> {
  return checked(schema, request.body);
}

function checked<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new SwarmdError('invalid-argument', field === '' ? `${issue?.message}` : `${field}: ${issue?.message}`, {
    field,
  });
}
