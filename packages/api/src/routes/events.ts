import http from 'node:http';
import type { Filters } from '@swarmd/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiContext } from '../context.js';
import { filters, type Query, timeMs } from '../http/query.js';
import { API_VERSION, urlForEngine } from '../http/versions.js';

const SWARM_TYPES = new Set(['service', 'node', 'secret', 'config']);

/** A client that lets this much wait is cut off rather than allowed to fill memory. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** `/events`: the engine's and the cluster's in one stream of JSON lines. */
export async function eventRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  app.get<{ Querystring: Query }>('/events', async (request, reply) => streamEvents(context, request, reply));
}

async function streamEvents(
  context: ApiContext,
  request: FastifyRequest<{ Querystring: Query }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const given = filters(request.query);
  const untilMs = timeMs(request.query, 'until');
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, context.closing]);
  const control = context.membership.control();
  reply.hijack();
  const { raw } = reply;
  raw.on('close', () => gone.abort());
  raw.writeHead(200, { 'Content-Type': 'application/json', 'Api-Version': API_VERSION, Ostype: 'linux' });
  raw.flushHeaders();
  const emit = (line: string): void => {
    if (raw.destroyed) return;
    if (raw.writableLength > MAX_UNREAD_BYTES) raw.destroy();
    else raw.write(line);
  };
  const sources: Promise<void>[] = [];
  if (wantsEngine(given)) sources.push(engineEvents(context, request.originalUrl, emit, signal));
  const over = new AbortController();
  if (control && wantsSwarm(given)) {
    sources.push(swarmEvents(control.events(given, AbortSignal.any([signal, over.signal])), emit));
  }
  // The engine ends its part at `until` by itself, after what it still knows of the past.
  const timer = untilMs === undefined ? undefined : setTimeout(() => over.abort(), Math.max(0, untilMs - Date.now()));
  // Without the engine's part the cluster's goes on; it ends with the client, with `until`, or with the API.
  const results = await Promise.allSettled(sources);
  clearTimeout(timer);
  for (const result of results) {
    if (result.status === 'rejected' && !signal.aborted)
      context.logger.warn({ err: result.reason }, 'events ended early');
  }
  raw.end();
  return reply;
}

function wantsEngine(given: Filters): boolean {
  const scopes = given['scope'] ?? [];
  const types = given['type'] ?? [];
  if (scopes.length > 0 && !scopes.includes('local')) return false;
  return types.length === 0 || types.some((type) => !SWARM_TYPES.has(type));
}

function wantsSwarm(given: Filters): boolean {
  const scopes = given['scope'] ?? [];
  const types = given['type'] ?? [];
  if (scopes.length > 0 && !scopes.includes('swarm')) return false;
  return types.length === 0 || types.some((type) => SWARM_TYPES.has(type) || type === 'network');
}

async function swarmEvents(events: AsyncIterable<unknown>, emit: (line: string) => void): Promise<void> {
  for await (const event of events) emit(`${JSON.stringify(event)}\n`);
}

async function engineEvents(
  { engine }: ApiContext,
  url: string,
  emit: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const path = urlForEngine(url, await engine.facts());
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = http.get({
      socketPath: engine.socketPath,
      agent: false,
      path,
      signal,
      headers: { host: 'docker' },
    });
    request.on('response', resolve);
    request.on('error', reject);
  });
  response.setEncoding('utf8');
  let partial = '';
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (partial + chunk).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) if (line !== '') emit(`${line}\n`);
  }
}
