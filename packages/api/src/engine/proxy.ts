import http, { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { API_VERSION, urlForEngine } from '../http/versions.js';
import { type Engine, engineUnavailable } from './engine.js';
import { laggingPump } from './lagging-pump.js';

/** Headers that concern one connection only. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Passes one request through to the engine and its answer back, both streaming: headers are flushed at once, because
 * `docker run` waits for those of `wait` before it starts the container. Ends either side when the other ends.
 * `url` is as the client sent it, version prefix included.
 */
export async function proxyRequest(
  engine: Engine,
  url: string,
  request: IncomingMessage,
  response: ServerResponse,
  body?: Buffer,
): Promise<void> {
  const path = urlForEngine(url, await engine.facts());
  // The client may have gone meanwhile: nobody would end the request then.
  if (response.destroyed) return;
  const outgoing = http.request({
    socketPath: engine.socketPath,
    agent: false,
    method: request.method ?? 'GET',
    path,
    // Kept alive, though never used again: an engine that closes at once after its answer races with our last write.
    headers: { ...forwarded(request), host: 'docker', connection: 'keep-alive' },
  });
  outgoing.setNoDelay(true);
  response.on('close', () => outgoing.destroy());
  outgoing.on('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT' || cause.code === 'ECONNRESET') engine.forget();
    fail(response, engineUnavailable(engine.socketPath, cause).message);
  });
  let stopBody = (): void => {};
  outgoing.on('response', (incoming) => {
    incoming.on('end', () => stopBody());
    answer(incoming, response);
  });
  if (body !== undefined) outgoing.end(body);
  else if (hasBody(request)) {
    outgoing.flushHeaders();
    stopBody = laggingPump(request, outgoing);
  } else outgoing.end();
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined;
}

function forwarded(request: IncomingMessage): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(request.headers)) if (!HOP_BY_HOP.has(name)) headers[name] = value;
  // Without a length Node frames the body in chunks, as the client did; without either there is none.
  if (!hasBody(request) && !['GET', 'HEAD', 'DELETE'].includes(request.method ?? 'GET')) headers['content-length'] = 0;
  return headers;
}

function answer(incoming: IncomingMessage, response: ServerResponse): void {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(incoming.headers)) if (!HOP_BY_HOP.has(name)) headers[name] = value;
  response.writeHead(incoming.statusCode ?? 502, { ...headers, 'api-version': API_VERSION });
  response.flushHeaders();
  incoming.on('error', () => response.destroy());
  incoming.on('close', () => {
    if (!incoming.complete) response.destroy();
  });
  incoming.pipe(response);
}

function fail(response: ServerResponse, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(503, { 'content-type': 'application/json', 'api-version': API_VERSION });
  response.end(`${JSON.stringify({ message })}\n`);
}
