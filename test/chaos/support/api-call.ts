import { type Agent, request } from 'node:http';

/** What came of a call: an answer, surely nothing (never sent), or nobody knows. */
export type Reply =
  /** `stale`: the manager says itself that there may be something newer. */
  { kind: 'answer'; status: number; body: string; stale: boolean } | { kind: 'not-sent' } | { kind: 'lost' };

/** One call of the API over a socket of this machine. */
export interface ApiCall {
  socketPath: string;
  agent?: Agent;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  timeoutMs: number;
  /** Rather no answer than one that is marked as stale. */
  strict?: boolean;
}

/** Nobody listens at the socket, or there is none: not a byte has left. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOENT']);

/** Makes one call and never rejects. */
export function callApi({ body, timeoutMs, strict, ...options }: ApiCall): Promise<Reply> {
  return new Promise((resolve) => {
    const consistency = strict === true ? { 'swarmd-consistency': 'strict' } : {};
    const headers = { host: 'swarmd', 'content-type': 'application/json', ...consistency };
    const outgoing = request({ ...options, headers, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => resolve({ kind: 'lost' }));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        const stale = response.headers['swarmd-stale'] !== undefined;
        resolve({ kind: 'answer', status: response.statusCode ?? 0, body, stale });
      });
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ kind: NOT_SENT.has(error.code ?? '') ? 'not-sent' : 'lost' });
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
