import { NS_PER_MS } from '@swarmd/model';
import type { ApiService } from '../client/api-types.js';
import type { ServiceProgress } from './service-progress.js';

/** How long a service must stay converged where its own update configuration does not say. */
const DEFAULT_MONITOR_MS = 5_000;
/** How long nothing may be under way before a service is given up: its manager may be about to replace what ended. */
const HOPELESS_MS = 3_000;

/** What is expected of a service that is followed. */
export interface Expectation {
  /** A rollback was asked for: its end is then a success. */
  readonly rollback?: boolean;
  /** `UpdateStatus.StartedAt` from before the change: what an earlier update came to says nothing about this one. */
  readonly staleUpdate?: string | undefined;
  /** Whether it is enough to be converged once: for a service that was not changed. */
  readonly immediate?: boolean;
}

/** Since when a service has been seen converged, or hopeless; `undefined` when it was not at the last look. */
export interface Since {
  readonly sinceMs: number | undefined;
  readonly hopelessSinceMs?: number | undefined;
}

/** What a look at a service comes to. A waiting one has to be given to the next look. */
export type Verdict =
  | ({ readonly kind: 'waiting'; readonly note: string | undefined } & Since)
  | { readonly kind: 'converged' }
  | { readonly kind: 'failed'; readonly message: string };

/**
 * Judges a service: converged when all its tasks run and have done so for its monitor period (a finished update has
 * watched that long already), failed when its update was paused or rolled back, or when its tasks ended by themselves, no
 * update is under way and nothing replaces them. `sinceMs` and `hopelessSinceMs` are the last look's, `nowMs` is the time
 * of this one.
 */
export function judge(
  service: ApiService,
  progress: ServiceProgress,
  expectation: Expectation,
  { sinceMs, hopelessSinceMs, nowMs }: Since & { nowMs: number },
): Verdict {
  const status = service.UpdateStatus;
  const isStale = expectation.staleUpdate !== undefined && status?.StartedAt === expectation.staleUpdate;
  const state = isStale ? '' : (status?.State ?? '');
  const told = status?.Message ?? '';
  if (state === 'paused') return { kind: 'failed', message: `service update paused: ${told}` };
  if (state === 'rollback_paused') return { kind: 'failed', message: `service rollback paused: ${told}` };
  if (state === 'rollback_completed' && expectation.rollback !== true) {
    return { kind: 'failed', message: `service update rolled back: ${told}` };
  }
  if ((state === 'completed' || state === 'rollback_completed') && sinceMs === undefined) return { kind: 'converged' };
  // The updater replaces what ended, and says itself how it went.
  const isUpdating = state === 'updating' || state === 'rollback_started';
  if (progress.hopeless && !isUpdating) {
    const start = hopelessSinceMs ?? nowMs;
    if (nowMs - start >= HOPELESS_MS) {
      return { kind: 'failed', message: 'service cannot converge: its tasks have ended for good' };
    }
    return { kind: 'waiting', note: undefined, sinceMs: undefined, hopelessSinceMs: start };
  }
  // While an update goes from node to node, those that it has not come to yet cannot be seen.
  if (!progress.converged || (isUpdating && service.Spec.Mode?.Global != null)) {
    return { kind: 'waiting', note: sinceMs === undefined ? undefined : 'Detected task failure', sinceMs: undefined };
  }
  if (expectation.immediate === true || service.JobStatus !== undefined) return { kind: 'converged' };
  const start = sinceMs ?? nowMs;
  const leftMs = monitorMs(service) - (nowMs - start);
  if (leftMs <= 0) return { kind: 'converged' };
  const note = `Waiting ${Math.floor(leftMs / 1000) + 1} seconds to verify that tasks are stable...`;
  return { kind: 'waiting', note, sinceMs: start };
}

function monitorMs(service: ApiService): number {
  const ns = service.Spec.UpdateConfig?.Monitor ?? 0;
  return ns === 0 ? DEFAULT_MONITOR_MS : ns / NS_PER_MS;
}
