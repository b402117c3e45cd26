import http from 'node:http';
import type net from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Test } from 'tap';

/** A plain HTTP server in the place of a Docker engine, for what a test wants to see of the wire. */
export interface FakeEngine {
  socket: string;
  /** Method and URL of every request, in order. */
  seen: string[];
  /** The API versions that it claims. */
  versions: { min: string; max: string };
  onRequest: (request: http.IncomingMessage, response: http.ServerResponse) => void;
  onUpgrade: (request: http.IncomingMessage, socket: Duplex, head: Buffer) => void;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts a {@link FakeEngine} in `folder`; it ends with the test. */
export async function startFakeEngine(t: Test, folder: string): Promise<FakeEngine> {
  const connections = new Set<net.Socket>();
  const server = http.createServer((request, response) => {
    const url = request.url ?? '';
    if (url !== '/version' && url !== '/_ping') engine.seen.push(`${request.method} ${url}`);
    if (url.endsWith('/version')) {
      const { min, max } = engine.versions;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ Version: '20.10.24', ApiVersion: max, MinAPIVersion: min, Os: 'linux' }));
    } else if (url === '/_ping')
      response.setHeader('Builder-Version', '2').setHeader('Api-Version', engine.versions.max).end();
    else engine.onRequest(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    engine.seen.push(`${request.method} ${request.url}`);
    engine.onUpgrade(request, socket, head);
  });
  server.on('connection', (connection) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
  });
  const engine: FakeEngine = {
    socket: join(folder, 'engine.sock'),
    seen: [],
    versions: { min: '1.24', max: '1.41' },
    onRequest: (_request, response) => response.end(),
    onUpgrade: (_request, socket) => socket.destroy(),
    start: () => new Promise((resolve) => server.listen(engine.socket, resolve)),
    stop: () =>
      new Promise((resolve) => {
        for (const connection of connections) connection.destroy();
        server.close(() => resolve());
      }),
  };
  await engine.start();
  t.teardown(() => (server.listening ? engine.stop() : undefined));
  return engine;
}
