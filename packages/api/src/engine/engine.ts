import http from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { SwarmdError } from '@swarmd/model';

/** What the local engine says of itself. */
export interface EngineFacts {
  /** API versions it serves. */
  min: string;
  max: string;
  /** Which builder the docker CLI should use (`Builder-Version` of `/_ping`). */
  builderVersion: string | undefined;
  osType: string;
}

/** Engines up to 28 serve 1.24 on; what is above 1.41 is only known once the engine has answered. */
const UNKNOWN: EngineFacts = { min: '1.24', max: '1.41', builderVersion: undefined, osType: 'linux' };
/** An engine that does not answer a ping for this long is taken to be away. */
const PROBE_TIMEOUT_MS = 2_000;
/** Engines run other programs to answer `/version`: while a ping shows the same release, it is not asked at every one. */
const VERSION_HOLDS_MS = 30_000;
/** An engine that leaves a request of ours unanswered for this long hangs. */
const JSON_TIMEOUT_MS = 15_000;
/** Bodies of the engine's JSON answers that are merged with ours stay far below this. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/** What was learned, from which release, and when on a steady clock. */
interface Probed extends EngineFacts {
  release: string;
  atMs: number;
}

/** The engine's answer to a request made on our own account. */
export interface EngineAnswer {
  status: number;
  body: unknown;
}

/** The local Docker engine, by its socket. */
export interface Engine {
  readonly socketPath: string;
  /** The facts learned last; learns them first when there are none. Never rejects. */
  facts(): Promise<EngineFacts>;
  /** Asks the engine again, as after a restart; what was known before when it does not answer in time. Never rejects. */
  refresh(patienceMs: number): Promise<EngineFacts>;
  /** Forgets the facts: the engine went away and may come back as another release. */
  forget(): void;
  /** A JSON request at a version that the engine serves. Rejects with `unavailable` when it does not answer. */
  json(
    method: string,
    path: string,
    options?: { body?: unknown; headers?: http.OutgoingHttpHeaders },
  ): Promise<EngineAnswer>;
}

/** The engine behind `socketPath`. Nothing is asked before the first use. */
export function createEngine(socketPath: string): Engine {
  let known: Probed | undefined;
  let learning: Promise<EngineFacts | undefined> | undefined;

  const learn = (): Promise<EngineFacts | undefined> => {
    learning ??= probe(socketPath, known)
      .then((facts) => {
        known = facts;
        return facts;
      })
      .catch(() => undefined)
      .finally(() => {
        learning = undefined;
      });
    return learning;
  };
  const facts = async (): Promise<EngineFacts> => known ?? (await learn()) ?? UNKNOWN;

  return {
    socketPath,
    facts,
    refresh: async (patienceMs) => {
      const patience = setTimeout(patienceMs, undefined, { ref: false });
      return (await Promise.race([learn(), patience])) ?? known ?? UNKNOWN;
    },
    forget: () => {
      known = undefined;
    },
    json: async (method, path, options = {}) => {
      const { max } = await facts();
      return requestJson({ socketPath, method, path: `/v${max}${path}`, timeoutMs: JSON_TIMEOUT_MS, ...options });
    },
  };
}

async function probe(socketPath: string, before: Probed | undefined): Promise<Probed> {
  const ping = await headersOf(socketPath);
  const release = `${ping.server} ${ping['api-version']}`;
  const now = performance.now();
  if (before?.release === release && now - before.atMs < VERSION_HOLDS_MS)
    return { ...before, builderVersion: ping['builder-version'] as string | undefined };
  const options = { socketPath, method: 'GET', path: '/version', timeoutMs: PROBE_TIMEOUT_MS };
  const version = await requestJson(options);
  const { ApiVersion, MinAPIVersion, Os } = version.body as Record<string, string | undefined>;
  return {
    ...{ release, atMs: now },
    min: MinAPIVersion ?? UNKNOWN.min,
    max: ApiVersion ?? UNKNOWN.max,
    builderVersion: ping['builder-version'] as string | undefined,
    osType: Os ?? 'linux',
  };
}

function headersOf(socketPath: string): Promise<http.IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { socketPath, agent: false, method: 'HEAD', path: '/_ping', timeout: PROBE_TIMEOUT_MS },
      (response) => {
        response.resume();
        resolve(response.headers);
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
    request.end();
  });
}

interface JsonRequest {
  socketPath: string;
  method: string;
  path: string;
  body?: unknown;
  headers?: http.OutgoingHttpHeaders;
  timeoutMs?: number;
}

function requestJson({ socketPath, method, path, body, headers, timeoutMs }: JsonRequest): Promise<EngineAnswer> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const content =
      payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
    const options = {
      socketPath,
      method,
      path,
      headers: { host: 'docker', connection: 'keep-alive', ...headers, ...content },
    };
    const fail = (cause: unknown): void => reject(engineUnavailable(socketPath, cause));
    // A connection each: kept ones would fail once after every restart of the engine.
    const request = http.request({ ...options, agent: false, ...(timeoutMs ? { timeout: timeoutMs } : {}) });
    request.on('response', (response) => {
      collect(response).then((raw) => resolve({ status: response.statusCode ?? 0, body: parse(raw) }), fail);
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', fail);
    request.end(payload);
  });
}

async function collect(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_JSON_BYTES) throw new Error(`answer larger than ${MAX_JSON_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(raw: string): unknown {
  if (raw.trim() === '') return undefined;
  try {
    return JSON.parse(raw);
  } catch {
    return { message: raw.trim() };
  }
}

/** The error for an engine that cannot be reached; the docker CLI shows the message as it is. */
export function engineUnavailable(socketPath: string, cause: unknown): SwarmdError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SwarmdError('unavailable', `the Docker engine at ${socketPath} does not answer: ${reason}`, { cause });
}
