import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';

/** While somebody else still has the port, this often it is asked for again. */
const BUSY_RETRY_MS = 200;
/** A container that stops has its port for a while; after this many attempts it is somebody else who has it. */
const BUSY_RETRIES_UNTOLD = 50;

/** Where connections go. */
export interface Backend {
  address: string;
  port: number;
}

/** Listens on one TCP port of this host and passes each connection on to one backend, in turn. */
export interface PortForwarder {
  setBackends(backends: readonly Backend[]): void;
  /** Stops listening at once; connections that are under way go on. */
  close(): void;
}

/** Starts to listen on `port`, on all addresses. A busy port is asked for until it is free or the forwarder closed. */
export function forwardPort(port: number, deps: { clock: Clock; logger: Logger; host?: string }): PortForwarder {
  let backends: readonly Backend[] = [];
  let turn = 0;
  let closed = false;
  let cancelRetry = () => {};
  let server: Server | undefined;
  let attempts = 0;

  const listen = (): void => {
    server = createServer({ pauseOnConnect: true }, (client) => {
      const backend = backends[turn++ % Math.max(1, backends.length)];
      if (backend === undefined) client.destroy();
      else join(client, dial(backend.port, backend.address));
    });
    server.on('error', (error) => {
      if (closed) return;
      attempts++;
      if (attempts === BUSY_RETRIES_UNTOLD) {
        deps.logger.warn({ port, reason: error.message }, 'a published port cannot be had on this node');
      }
      cancelRetry = deps.clock.after(BUSY_RETRY_MS, listen);
    });
    // All connections of other programs matter more than keeping this process alive.
    server.listen({ port, host: deps.host }, () => deps.logger.info({ port }, 'passing on connections'));
    server.unref();
  };
  listen();
  return {
    setBackends: (next) => {
      backends = next;
    },
    close() {
      closed = true;
      cancelRetry();
      server?.close();
    },
  };
}

function join(client: Socket, backend: Socket): void {
  for (const [from, to] of [
    [client, backend],
    [backend, client],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}
