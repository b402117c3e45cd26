import type { Clock, Random } from '@swarmd/model';
import type { Identity, IdentityHolder } from '@swarmd/wire';
import type { Logger } from 'pino';

/** A failed renewal is tried again after this long, doubling to the maximum. */
const RETRY_MIN_MS = 5_000;
const RETRY_MAX_MS = 3_600_000;
/** The longest wait while the cluster waits for the renewal: for a role, or for all nodes to leave an old root. */
const ASKED_RETRY_MAX_MS = 30_000;
/** Timers take at most 2^31 ms: a longer wait is cut into these. */
const LONGEST_WAIT_MS = 24 * 3_600_000;

/**
 * When to renew: at a point drawn between 50 and 80 % of the certificate's life (`fraction` in [0, 1)), so that the
 * nodes of a cluster do not come all at once. Milliseconds from `nowMs`; 0 when that is past.
 */
export function renewalDelayMs(
  identity: Pick<Identity, 'notBefore' | 'notAfter'>,
  nowMs: number,
  fraction: number,
): number {
  const life = identity.notAfter - identity.notBefore;
  return Math.max(0, identity.notBefore + life * (0.5 + 0.3 * fraction) - nowMs);
}

/** Keeps an identity fresh. */
export interface Renewal {
  /** Renews at once: the cluster asks for it, and waits. One renewal is under way at a time. */
  renewNow(): void;
  /** Resolves when no attempt is under way any more. */
  stop(): Promise<void>;
}

/** What {@link startRenewal} needs. */
export interface RenewalDependencies {
  identity: IdentityHolder;
  /** Gets a new certificate for the current identity (see `renewCertificate`). */
  renew: (current: Identity, signal: AbortSignal) => Promise<Identity>;
  /** Keeps the new identity before it comes into use. */
  save: (identity: Identity) => Promise<void>;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Renews the certificate in time, again and again, and puts each new one into use through the holder. */
export function startRenewal({ identity, renew, save, clock, random, logger }: RenewalDependencies): Renewal {
  const log = logger.child({ component: 'renewal' });
  const abort = new AbortController();
  let cancel = (): void => {};
  let running: Promise<void> | undefined;
  let again = false;
  let retryMs = RETRY_MIN_MS;
  let asked = false;

  const attempt = async (): Promise<void> => {
    try {
      const renewed = await renew(identity.current, abort.signal);
      await save(renewed);
      identity.replace(renewed);
      retryMs = RETRY_MIN_MS;
      asked = false;
      log.info({ role: renewed.role, notAfter: new Date(renewed.notAfter).toISOString() }, 'certificate renewed');
      plan(clock.now() + renewalDelayMs(renewed, clock.now(), random.float()));
    } catch (error) {
      if (abort.signal.aborted) return;
      const expired = clock.now() >= identity.current.notAfter;
      const text = expired
        ? 'certificate expired and was not renewed: this node must join again'
        : 'certificate not renewed';
      log.error({ err: error, retryMs }, text);
      plan(clock.now() + retryMs);
      retryMs = Math.min(asked ? ASKED_RETRY_MAX_MS : RETRY_MAX_MS, retryMs * 2);
    }
  };
  const start = (): void => {
    if (abort.signal.aborted) return;
    if (running !== undefined) {
      again = true;
      return;
    }
    cancel();
    running = attempt().finally(() => {
      running = undefined;
      if (again) {
        again = false;
        start();
      }
    });
  };
  function plan(atMs: number): void {
    cancel();
    if (abort.signal.aborted) return;
    const waitMs = Math.max(0, atMs - clock.now());
    cancel = clock.after(Math.min(waitMs, LONGEST_WAIT_MS), () => (waitMs > LONGEST_WAIT_MS ? plan(atMs) : start()));
  }

  plan(clock.now() + renewalDelayMs(identity.current, clock.now(), random.float()));
  return {
    renewNow: () => {
      asked = true;
      retryMs = RETRY_MIN_MS;
      start();
    },
    stop: async () => {
      abort.abort();
      cancel();
      await running;
    },
  };
}
