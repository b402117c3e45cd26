import { SwarmdError } from '@swarmd/model';
import { httpsGet } from './https-get.js';
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

async function metricsOf({ clientEndpoint, clientTls }: EtcdEndpoint, signal: AbortSignal): Promise<string> {
  try {
    return await httpsGet(new URL('/metrics', clientEndpoint), clientTls, signal);
  } catch (cause) {
    throw new SwarmdError('unavailable', 'etcd on this host does not tell its metrics', { cause });
  }
}
