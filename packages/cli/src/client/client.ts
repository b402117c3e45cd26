import http from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { ApiError, connectionError } from './errors.js';
import { type Address, socketPath } from './host.js';

/** Values of a query; those that are undefined are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** Docker's filters: a name and the values it may have. */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** Parts of a request besides method and path. */
export interface RequestOptions {
  query?: Query;
  filters?: Filters;
  body?: unknown;
  /** A file as body, sent as it is read. */
  upload?: Readable;
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** The Docker Engine API of one swarmd, over its Unix socket, or of what listens at `address`. Connections are kept and reused. */
export class Client {
  readonly host: string;
  private readonly agent = new http.Agent({ keepAlive: true });

  private readonly address: Address | undefined;

  constructor(host: string, address?: Address) {
    this.host = host;
    this.address = address;
  }

  /** The answer's JSON. Throws ApiError for an error status and CommandError when nobody answers. */
  async get<T>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.json<T>('GET', path, options);
  }

  /** As `get`; undefined when the answer has no body. */
  async post<T = undefined>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.json<T>('POST', path, options);
  }

  /** As `post`. */
  async delete(path: string, options: RequestOptions = {}): Promise<void> {
    await this.json('DELETE', path, options);
  }

  /** The answer as it arrives, for logs and files. Throws as `get` does. */
  async stream(path: string, options: RequestOptions & { method?: string } = {}): Promise<http.IncomingMessage> {
    const response = await this.send(options.method ?? 'GET', path, options);
    if ((response.statusCode ?? 500) < 400) return response;
    throw apiError(response, await readAll(response));
  }

  /** Closes the connections that wait for another request. */
  close(): void {
    this.agent.destroy();
  }

  private async json<T>(method: string, path: string, options: RequestOptions): Promise<T> {
    const response = await this.send(method, path, options);
    const text = await readAll(response);
    if ((response.statusCode ?? 500) >= 400) throw apiError(response, text);
    return (text.trim() === '' ? undefined : JSON.parse(text)) as T;
  }

  private send(method: string, path: string, options: RequestOptions): Promise<http.IncomingMessage> {
    const { body, upload, headers, signal } = options;
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const request = http.request({
        method,
        agent: this.agent,
        ...(this.address ?? { socketPath: socketPath(this.host) }),
        path: path + queryString(options),
        headers: {
          host: 'swarmd',
          'user-agent': 'swarmctl',
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': String(payload.length) }),
          ...headers,
        },
        ...(signal === undefined ? {} : { signal }),
      });
      request.on('response', resolve);
      request.on('error', (error) =>
        reject(
          signal?.aborted ? error : connectionError(error, this.host, this.address === undefined ? 'swarmd' : 'engine'),
        ),
      );
      if (upload === undefined) request.end(payload);
      else {
        request.setHeader('content-type', 'application/octet-stream');
        // What breaks the request says so itself; a file that cannot be read breaks it.
        pipeline(upload, request, (error) => void (error != null && request.destroy(error)));
      }
    });
  }
}

/** Path of one object: its reference goes into the URL escaped. */
export function objectPath(collection: string, ref: string, action?: string): string {
  return `/${collection}/${encodeURIComponent(ref)}${action === undefined ? '' : `/${action}`}`;
}

function queryString({ query = {}, filters = {} }: RequestOptions): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  if (Object.keys(filters).length > 0) {
    const asSets = Object.entries(filters).map(([name, values]) => [
      name,
      Object.fromEntries(values.map((value) => [value, true])),
    ]);
    parameters.set('filters', JSON.stringify(Object.fromEntries(asSets)));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

function apiError(response: http.IncomingMessage, text: string): ApiError {
  const status = response.statusCode ?? 500;
  let message = text.trim();
  try {
    const parsed: unknown = JSON.parse(text);
    const told = (parsed as { message?: unknown } | null)?.message;
    if (typeof told === 'string') message = told.trim();
  } catch {
    // Not JSON: an intermediary's words are all there is.
  }
  return new ApiError(message === '' ? `${status} ${response.statusMessage ?? ''}`.trim() : message, status);
}
