import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createControl } from '@swarmd/manager';
import {
  type Control,
  type LocalNodeInfo,
  type LogRecord,
  type Membership,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { manualClock, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';
import type { Test } from 'tap';
import { type Api, createApi } from '../../src/index.js';

/** A real API over a real control and a store in memory, on a socket of its own. */
export interface TestApi {
  api: Api;
  store: Store;
  control: Control;
  socket: string;
  /** The local node as the daemon would describe it; change it at will. */
  info: LocalNodeInfo;
  /** Whether this node is a manager that serves. */
  serving: { on: boolean };
  /** What the log source will say. */
  lines: LogRecord[];
  /** Keys that this node was unlocked with, while `info` says that it is locked. */
  unlocked: string[];
  request(method: string, url: string, options?: RequestOptions): Promise<Answer>;
}

/** Body is sent as JSON unless it is text already. */
export interface RequestOptions {
  body?: unknown;
  headers?: Record<string, string>;
}

/** A whole answer; `body` is parsed when it is JSON. */
export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: unknown;
  raw: Buffer;
}

/** Starts a {@link TestApi} that ends with the test. `engineSocket` defaults to one that nobody serves. */
export async function startTestApi(t: Test, engineSocket?: string): Promise<TestApi> {
  const folder = socketFolder(t);
  const socket = join(folder, 's.sock');
  const clock = manualClock();
  const logger = pino({ level: 'silent' });
  const store = await openStore({ log: createMemoryLog(), clock });
  const lines: LogRecord[] = [];
  const control = createControl({
    store,
    clock,
    random: seededRandom(7),
    logger,
    logSource: {
      async *subscribe() {
        yield* lines;
      },
    },
    explain: (_view, ServiceID) => ({ ServiceID, ServiceName: 'web', Tasks: [] }),
    tokens: { rotateJoinToken: (kind) => `SWMTKN-1-fresh-${kind}` },
  });
  const info: LocalNodeInfo = {
    NodeID: 'fvu6tjq1sk2ythsw45g99uaq1',
    NodeAddr: '127.0.0.1',
    LocalNodeState: 'active',
    ControlAvailable: true,
    Error: '',
    RemoteManagers: [{ NodeID: 'fvu6tjq1sk2ythsw45g99uaq1', Addr: '127.0.0.1:2377' }],
  };
  const serving = { on: true };
  const unlocked: string[] = [];
  const membership: Membership = {
    init: async () => info.NodeID,
    join: async () => {},
    leave: async () => {},
    unlock: async (key) => {
      if (info.LocalNodeState !== 'locked') throw new SwarmdError('aborted', 'swarm is not locked');
      unlocked.push(key);
    },
    restore: async () => {
      throw new SwarmdError('unimplemented', 'nothing is restored here');
    },
    recover: async () => {
      throw new SwarmdError('unimplemented', 'nothing is recovered here');
    },
    check: async () => {
      throw new SwarmdError('unimplemented', 'nothing is checked here');
    },
    cleanup: async () => ({ Items: [], Removed: false }),
    findManagers: async () => {},
    info: () => info,
    control: () => (serving.on ? control : undefined),
    fresh: async () => {},
  };
  const api = createApi({ membership, engineSocket: engineSocket ?? join(folder, 'no-engine.sock'), logger });
  await api.listen(socket);
  t.teardown(() => api.close());
  return {
    api,
    store,
    control,
    socket,
    info,
    serving,
    lines,
    unlocked,
    request: (method, url, options = {}) => request(socket, method, url, options),
  };
}

/** A folder for sockets: their paths may be 107 bytes long, too few for one that names the test. */
export function socketFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'api-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One HTTP request over a Unix socket. */
export function request(socketPath: string, method: string, path: string, options: RequestOptions): Promise<Answer> {
  const { body, headers } = options;
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = http.request({ socketPath, method, path, agent: false, headers: { ...headers } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const raw = Buffer.concat(chunks);
        const isJson = response.headers['content-type'] === 'application/json' && raw.length > 0;
        const parsed: unknown = isJson ? JSON.parse(raw.toString()) : raw.toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed, raw });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}
