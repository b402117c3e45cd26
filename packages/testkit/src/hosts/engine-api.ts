import { request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { SwarmdError } from '@swarmd/model';

/** One call of the Docker Engine API over its socket. */
export interface EngineCall {
  method?: 'GET' | 'POST' | 'DELETE';
  /** With query, without a version: the engine then takes its own. */
  path: string;
  headers?: Record<string, string>;
  /** JSON, or a stream sent as a tar archive. */
  body?: Readable | object;
  /** 120,000 unless told. */
  timeoutMs?: number;
}

/** Calls an engine and resolves with the answer's text; rejects with it for a status of 400 or more. */
export async function callEngine(socketPath: string, call: EngineCall): Promise<string> {
  const streamed = call.body !== undefined && 'pipe' in call.body;
  const type = streamed ? 'application/x-tar' : 'application/json';
  const timeoutMs = call.timeoutMs ?? 120_000;
  const outgoing = request({
    ...{ socketPath, path: call.path, method: call.method ?? 'GET', signal: AbortSignal.timeout(timeoutMs) },
    headers: { host: 'engine', 'content-type': type, ...call.headers },
  });
  const answered = new Promise<string>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        // Pull, push and import answer 200 at once and report what went wrong as one of the stream's lines.
        const failed = (response.statusCode ?? 500) >= 400 || /"errorDetail"/.test(text);
        if (failed)
          reject(
            new SwarmdError('internal', `${call.method ?? 'GET'} ${call.path}: ${response.statusCode}: ${text.trim()}`),
          );
        else resolve(text);
      });
    });
  });
  if (streamed) await Promise.all([pipeline(call.body as Readable, outgoing), answered]);
  else outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  return answered;
}
