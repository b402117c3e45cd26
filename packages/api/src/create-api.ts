import { chmod, chown, readFile, unlink } from 'node:fs/promises';
import net from 'node:net';
import { type Membership, SwarmdError } from '@swarmd/model';
import fastify, { type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { ApiContext } from './context.js';
import { createEngine } from './engine/engine.js';
import { type Tunnels, tunnel } from './engine/upgrade.js';
import { installErrors } from './http/errors.js';
import { freshReads } from './http/freshness.js';
import { OpenThings } from './http/open-things.js';
import { API_VERSION, checkVersion, splitVersion } from './http/versions.js';
import { backupRoutes } from './routes/backup.js';
import { eventRoutes } from './routes/events.js';
import { logRoutes } from './routes/logs.js';
import { networkRoutes } from './routes/networks.js';
import { nodeRoutes } from './routes/nodes.js';
import { passthroughRoutes } from './routes/passthrough.js';
import { dataRoutes } from './routes/secrets-and-configs.js';
import { serviceRoutes } from './routes/services.js';
import { swarmRoutes } from './routes/swarm.js';
import { swarmdRoutes } from './routes/swarmd.js';
import { systemRoutes } from './routes/system.js';
import { taskRoutes } from './routes/tasks.js';

/**
 * Configs hold up to 1,000 KiB, a third more in base64; labels and the rest of a spec come on top. Whatever is taken here
 * must fit into one message to an agent (4 MB): an object that does not would end every session of its nodes.
 */
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** At closing, requests to the cluster have this long to be answered: a change of leader takes its time. */
const ANSWER_GRACE_MS = 10_000;
/** Connections that clients keep have this long to be used once more, by which they end. */
const KEPT_GRACE_MS = 500;
/** Those that were passed on to the engine have this long, and who has connected without asking anything. */
const ENGINE_GRACE_MS = 1_000;

/** `sun_path` of Linux less its final zero; longer paths are cut off silently. */
const MAX_SOCKET_PATH_BYTES = 107;

/** What the API needs. */
export interface ApiDependencies {
  membership: Membership;
  /** Path of the local engine's socket. It need not be there yet. */
  engineSocket: string;
  logger: Logger;
}

/** The Docker Engine API of one swarmd. */
export interface Api {
  /**
   * Serves on a Unix socket, for root and a group if it exists. A stale socket is replaced; one that another process
   * answers on rejects with `failed-precondition`.
   */
  listen(path: string, options?: { group?: string }): Promise<void>;
  /**
   * Stops serving: whoever has connected is answered, streams of events and logs end as if they were complete, and no one
   * else can connect. What the engine answers through this API, which may never end, is cut off soon.
   */
  close(): Promise<void>;
}

/** The API over a node's membership and its engine. Nothing listens before `listen`. */
export function createApi({ membership, engineSocket, logger }: ApiDependencies): Api {
  const closing = new AbortController();
  const log = logger.child({ component: 'api' });
  const context: ApiContext = { membership, engine: createEngine(engineSocket), logger: log, closing: closing.signal };
  const tunnels: Tunnels = new Set();
  const requests = new OpenThings();
  const connections = new OpenThings();
  let leaving = false;
  let socketPath: string | undefined;
  const app = buildServer(context, requests);
  app.server.on('connection', (socket) => connections.add(socket));
  app.server.prependListener('request', (_request, response) => {
    // A client that keeps its connection would find it closed just as it asks again.
    if (leaving) response.shouldKeepAlive = false;
  });
  app.server.on('upgrade', (request, socket, head) => {
    void tunnel(context.engine, request, socket, head, tunnels);
  });
  return {
    async listen(path, { group } = {}) {
      if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
        const message = `the socket path ${path} is longer than the ${MAX_SOCKET_PATH_BYTES} bytes that Linux allows`;
        throw new SwarmdError('invalid-argument', message);
      }
      await removeStaleSocket(path);
      await app.listen({ path });
      socketPath = path;
      await chmod(path, 0o660);
      const gid = group === undefined ? undefined : await groupId(group);
      if (group !== undefined && gid === undefined) log.warn({ group }, 'no such group: the socket is for root alone');
      if (gid !== undefined) await chown(path, process.getuid?.() ?? 0, gid);
      log.info({ path, apiVersion: API_VERSION }, 'serving the Docker Engine API');
    },
    async close() {
      leaving = true;
      await leaveSocket(app.server, socketPath);
      closing.abort();
      await within(connections.settled(), KEPT_GRACE_MS);
      const closed = app.close();
      await within(closed, ENGINE_GRACE_MS);
      await within(requests.settled(), ANSWER_GRACE_MS);
      for (const socket of tunnels) socket.destroy();
      app.server.closeAllConnections();
      await closed;
    },
  };
}

function buildServer(context: ApiContext, requests: OpenThings): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: 'idle',
    // What comes on a connection that is there while this closes is answered as ever.
    return503OnClosing: false,
    // Uploads of images and build contexts take as long as they take.
    requestTimeout: 0,
    rewriteUrl: (request) => splitVersion(request.url ?? '/').path,
    routerOptions: { maxParamLength: 512 },
  });
  installErrors(app, context.logger);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'Api-Version': API_VERSION, Ostype: 'linux', 'Docker-Experimental': 'false' });
    checkVersion(splitVersion(request.originalUrl).version);
  });
  app.addHook('onSend', async (_request, reply, payload) => {
    // The docker CLI takes an error for JSON only under exactly this type.
    const type = String(reply.getHeader('content-type') ?? '');
    if (type.startsWith('application/json')) reply.header('content-type', 'application/json');
    return payload;
  });
  app.register(async (owned) => {
    owned.addHook('onRequest', async (_request, reply) => requests.add(reply.raw));
    readJsonBodies(owned);
    freshReads(owned, context.membership);
    for (const routes of OWNED) await routes(owned, context);
  });
  app.register(async (rest) => passthroughRoutes(rest, context));
  return app;
}

const OWNED: readonly ((app: FastifyInstance, context: ApiContext) => Promise<void>)[] = [
  serviceRoutes,
  logRoutes,
  taskRoutes,
  nodeRoutes,
  dataRoutes,
  networkRoutes,
  swarmRoutes,
  systemRoutes,
  eventRoutes,
  swarmdRoutes,
  backupRoutes,
];

/** JSON whatever the content type says; no body at all is undefined. */
function readJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    try {
      done(null, JSON.parse(body as string));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      done(new SwarmdError('invalid-argument', `invalid JSON in the request body: ${reason}`, { cause }));
    }
  });
}

/**
 * Takes the socket's name away, so that nobody else can connect, and waits until those who have are accepted: closing
 * would turn away, without an answer, who is still queued in the kernel.
 */
async function leaveSocket(server: net.Server, path: string | undefined): Promise<void> {
  if (path === undefined) return;
  await unlink(path).catch(() => {});
  let quietTurns = 0;
  const onConnection = (): void => {
    quietTurns = 0;
  };
  server.on('connection', onConnection);
  // Each turn of the event loop accepts one; the first may have begun before the name was gone.
  while (quietTurns++ < 2) await new Promise((resolve) => setImmediate(resolve));
  server.off('connection', onConnection);
}

/** Resolves when `done` has, or after `ms`. */
async function within(done: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}

async function removeStaleSocket(path: string): Promise<void> {
  const answered = await new Promise<boolean>((resolve) => {
    const probe = net.connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (answered) throw new SwarmdError('failed-precondition', `another process already serves on ${path}`);
  await unlink(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
}

async function groupId(name: string): Promise<number | undefined> {
  const groups = await readFile('/etc/group', 'utf8').catch(() => '');
  const line = groups.split('\n').find((entry) => entry.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
}
