import { request } from 'node:http';
import {
  LocalEndpointsSchema,
  type NodeNetworks,
  NodeNetworksErrorSchema,
  NodeNetworksStatusSchema,
  SwarmdError,
} from '@swarmd/model';

/** A whole set of a large network takes the kernel some seconds. */
const CALL_MS = 60_000;
const STATUS_MS = 5000;
/** An answer may be put off for 30 s. */
const FOLLOW_MS = 45_000;

interface Call {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  path: string;
  body?: unknown;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

/**
 * The networks of this node, as `swarmd-net` keeps them: a client of its socket, without state. What fails has the code
 * that swarmd-net names; `unavailable` when it does not answer, `deadline-exceeded` when it takes too long.
 */
export function createNodeNetworksClient(socketPath: string): NodeNetworks {
  const call = (wanted: Call): Promise<unknown> => callSwarmdNet(socketPath, wanted);
  const tell = async (wanted: Call): Promise<void> => {
    await call(wanted);
  };
  return {
    async status(signal) {
      return read(
        NodeNetworksStatusSchema,
        await call({ method: 'GET', path: '/status', timeoutMs: STATUS_MS, signal }),
      );
    },
    async localEndpoints(after, signal) {
      const path = `/endpoints?after=${encodeURIComponent(after)}`;
      return read(LocalEndpointsSchema, await call({ method: 'GET', path, timeoutMs: FOLLOW_MS, signal }));
    },
    configure: (config) => tell({ method: 'PUT', path: '/config', body: config }),
    putNetwork: (network) => tell({ method: 'PUT', path: '/networks', body: network }),
    removeNetwork: (id) => tell({ method: 'DELETE', path: `/networks/${encodeURIComponent(id)}` }),
    changeEndpoints: (changes) => tell({ method: 'POST', path: '/changes', body: changes }),
    publish: (services) => tell({ method: 'PUT', path: '/published', body: services }),
    reset: () => tell({ method: 'POST', path: '/reset', body: {} }),
  };
}

/** One call to swarmd-net; its answer as JSON. */
export function callSwarmdNet(socketPath: string, wanted: Call): Promise<unknown> {
  const { method, path, body, timeoutMs = CALL_MS, signal } = wanted;
  const late = AbortSignal.timeout(timeoutMs);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const length =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const what = `swarmd-net (${socketPath})`;
      if (signal?.aborted) reject(signal.reason);
      else if (!late.aborted)
        reject(new SwarmdError('unavailable', `${what} does not answer: ${error.message}`, { cause: error }));
      else
        reject(new SwarmdError('deadline-exceeded', `${what} did not answer ${method} ${path} within ${timeoutMs} ms`));
    };
    const outgoing = request({
      ...{ socketPath, path, method, agent: false, headers: { host: 'swarmd-net', ...length } },
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        try {
          resolve(understood(response.statusCode ?? 500, Buffer.concat(chunks).toString('utf8')));
        } catch (error) {
          reject(error);
        }
      });
    });
    outgoing.end(text);
  });
}

function understood(status: number, text: string): unknown {
  const json = parsed(text);
  if (status < 400) return json;
  const { code, message, field } = read(NodeNetworksErrorSchema, json);
  throw new SwarmdError(code, message, field === undefined ? {} : { field });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a schema of the port makes of a value. */
interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false };
}

function read<T>(schema: Schema<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new SwarmdError('unavailable', 'swarmd-net answers what is not understood: it may be of another version');
}
