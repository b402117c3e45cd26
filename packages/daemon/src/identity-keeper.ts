import { type Identity, type IdentityHolder, withTrust } from '@swarmd/wire';
import type { Logger } from 'pino';

/** Keeps on disk what a holder has: one change at a time, so that an older one never overwrites a newer. */
export interface IdentityKeeper {
  /** Saves an identity that is about to come into use. */
  save(identity: Identity): Promise<void>;
  /** Trusts the roots in `rootPem` from now on, and the one that issued this node's certificate. */
  trust(rootPem: string): void;
  /** Resolves when nothing is being written. */
  settled(): Promise<void>;
}

/** An {@link IdentityKeeper} that writes with `write`. */
export function createIdentityKeeper(
  holder: IdentityHolder,
  write: (identity: Identity) => Promise<void>,
  logger: Logger,
): IdentityKeeper {
  const log = logger.child({ component: 'identity' });
  let last: Promise<void> = Promise.resolve();
  const next = (task: () => Promise<void>): Promise<void> => {
    const done = last.then(task);
    last = done.catch(() => {});
    return done;
  };
  const change = async (rootPem: string): Promise<void> => {
    for (;;) {
      const before = holder.current;
      const trusting = withTrust(before, rootPem);
      if (trusting === before) return;
      // What cannot be kept counts all the same: what is on disk can only trust too much, and is put right later.
      await write(trusting).catch((error: unknown) => {
        log.error({ err: error }, 'the roots that are trusted could not be kept');
      });
      // A renewal may have brought another certificate into use meanwhile.
      if (holder.current !== before) continue;
      holder.replace(trusting);
      log.info('the roots that this node trusts have changed');
      return;
    }
  };
  return {
    save: (identity) => next(() => write(identity)),
    trust: (rootPem) => {
      next(() => change(rootPem)).catch((error: unknown) => {
        log.error({ err: error }, 'roots that a manager named cannot be used');
      });
    },
    settled: () => last,
  };
}
