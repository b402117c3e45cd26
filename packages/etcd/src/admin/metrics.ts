import { request } from 'node:https';
import { SwarmdError } from '@swarmd/model';
import type { EtcdEndpoint } from './target.js';

const FSYNC = 'etcd_disk_wal_fsync_duration_seconds';

/**
 * The time in milliseconds within which 99 of 100 syncs of the log of the member at `target` were done since it was
 * started; an upper bound, as etcd counts in steps. `undefined` before the first. `unavailable` when it does not answer.
 */
export async function fsyncP99Ms(target: EtcdEndpoint, signal: AbortSignal): Promise<number | undefined> {
  return histogramP99(await metricsOf(target, signal), FSYNC);
}

/** The 99th percentile in milliseconds, rounded up to a step, of a histogram in seconds in Prometheus' text format. */
export function histogramP99(metrics: string, name: string): number | undefined {
  const steps: { until: number; count: number }[] = [];
  for (const [, until, count] of metrics.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"\\} (\\S+)$`, 'gm'))) {
    steps.push({ until: until === '+Inf' ? Number.POSITIVE_INFINITY : Number(until), count: Number(count) });
  }
  const total = steps.at(-1)?.count ?? 0;
  if (total === 0) return undefined;
  const seconds = steps.find(({ count }) => count >= total * 0.99)!.until;
  const largest = steps.findLast(({ until }) => Number.isFinite(until))?.until ?? 0;
  return Math.min(seconds, largest) * 1_000;
}

function metricsOf({ clientEndpoint, clientTls }: EtcdEndpoint, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause?: Error): void =>
      reject(new SwarmdError('unavailable', 'etcd on this host does not tell its metrics', { cause }));
    const call = request(new URL('/metrics', clientEndpoint), {
      ...{ ca: clientTls.caPem, cert: clientTls.certificatePem, key: clientTls.keyPem },
      ...{ agent: false, signal },
    });
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
      response.on('error', fail);
    });
    call.on('error', fail);
    call.on('close', () => fail());
    call.end();
  });
}
