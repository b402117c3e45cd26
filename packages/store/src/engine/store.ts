import type { Clock, Log, SharedStore, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { openSharedStore } from './shared-store.js';
import { soleLog } from './sole-log.js';

/** What {@link openStore} needs. */
export interface StoreOptions {
  /** Where transactions are made durable. The store owns it from here on and closes it. */
  log: Log;
  clock: Clock;
  /** For watchers that throw and for the failure of the log. */
  logger?: Logger;
  /** The log failed: nothing more can be written until the store is opened anew. Called once, with why. */
  onFailure?: (reason: SwarmdError) => void;
}

/** Who leads where nobody else could. */
const SELF = { nodeId: '', addr: '' };

/**
 * Opens a store whose log this process alone writes, and leads it: reads all that the log holds, then serves it from
 * memory. Rejects as the log does, with `damaged` when it is. A log that cannot be read is closed again.
 */
export async function openStore({ log, onFailure, ...options }: StoreOptions): Promise<SharedStore> {
  const store = await openSharedStore({ ...options, log: soleLog(log), onFailure: onFailure ?? (() => {}) });
  await store.claim(SELF, new AbortController().signal);
  return store;
}
