import { request } from 'node:https';
import { SwarmdError } from '@swarmd/model';
import type { EtcdTls } from '../process/key-directory.js';
import { etcdError } from './errors.js';

/** Where an etcd member serves clients, and as whom to come. */
export interface EtcdEndpoint {
  /** `https://host:port`. */
  clientEndpoint: string;
  clientTls: EtcdTls;
}

/** A call of etcd's API in its JSON form: path, message, and the answer. */
export type JsonCall = <T>(path: string, body: object, signal: AbortSignal) => Promise<T>;

/**
 * Calls to the member at `target`, read anew at each: the endpoint and the certificate can change. Errors: etcd's own
 * (see `etcdErrorKind`), `unavailable` when nothing answers, `deadline-exceeded` when the signal ended it.
 */
export function jsonCaller(target: EtcdEndpoint): JsonCall {
  return async <T>(path: string, body: object, signal: AbortSignal) => {
    const { status, text } = await post(target, path, JSON.stringify(body), signal);
    const answer = parse(text);
    if (status === 200) return answer as T;
    const { code, message, error } = answer as { code?: number; message?: string; error?: string };
    throw etcdError(code, message ?? error ?? `etcd answered with status ${status}`);
  };
}

function post(
  { clientEndpoint, clientTls }: EtcdEndpoint,
  path: string,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      const [code, what] = signal.aborted
        ? (['deadline-exceeded', 'gave no answer in time'] as const)
        : (['unavailable', `cannot be reached: ${cause.message}`] as const);
      reject(new SwarmdError(code, `etcd at ${clientEndpoint} ${what}`, { cause }));
    };
    if (signal.aborted) return fail(new Error('ended before it began'));
    const call = request(new URL(path, clientEndpoint), {
      ...{ method: 'POST', agent: false, signal, headers: { 'content-length': Buffer.byteLength(body) } },
      ...{ ca: clientTls.caPem, cert: clientTls.certificatePem, key: clientTls.keyPem },
    });
    call.on('error', fail);
    call.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', fail);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
    });
    call.end(body);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.trim() };
  }
}
