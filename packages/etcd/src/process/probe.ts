import { request } from 'node:https';
import { createServer } from 'node:net';
import type { EtcdTls } from './key-directory.js';

/** Until then a connection that etcd accepts but does not serve is given up; the next takes its place. */
const ATTEMPT_TIMEOUT_MS = 2_000;

/**
 * Whether etcd serves clients on `127.0.0.1:port`. It does so once it has told the cluster its name, which takes a
 * quorum; before, connections are accepted and wait, so that this call returns as soon as it serves or after 2 s.
 */
export function servesClients(port: number, tls: EtcdTls, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const attempt = request({
      ...{ host: '127.0.0.1', port, path: '/version', agent: false },
      ...{ ca: tls.caPem, cert: tls.certificatePem, key: tls.keyPem },
      ...{ timeout: ATTEMPT_TIMEOUT_MS, signal },
    });
    attempt.on('response', (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    attempt.on('timeout', () => attempt.destroy());
    attempt.on('error', () => resolve(false));
    attempt.on('close', () => resolve(false));
    attempt.end();
  });
}

/** A TCP port of 127.0.0.1 that nobody has, none of `unwanted`: `wanted` if it is free. */
export async function freePort(wanted = 0, unwanted: readonly number[] = []): Promise<number> {
  if (wanted !== 0 && unwanted.includes(wanted)) return await freePort(0, unwanted);
  const server = createServer();
  try {
    const port = await new Promise<number>((resolve, reject) => {
      server.on('error', reject);
      server.listen({ host: '127.0.0.1', port: wanted, exclusive: true }, () => {
        resolve((server.address() as { port: number }).port);
      });
    });
    return unwanted.includes(port) ? await freePort(0, unwanted) : port;
  } catch (thrown) {
    if (wanted === 0) throw thrown;
    return await freePort(0, unwanted);
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
