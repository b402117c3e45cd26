import { type SharedStore, SwarmdError } from '@swarmd/model';
import { type StoreDriver, saveDriver } from './manager-files.js';

/** The moment in which the store leaves the embedded log. */
export interface DriverFlip {
  /** From when this resolves the next start opens the store on the new driver; a rejection leaves it on the embedded log. */
  run(): Promise<void>;
  /** Whether it failed such that the next start may open either: then neither of the two may be removed. */
  readonly isUnsure: boolean;
}

/**
 * Has the next start open the store on `driver`. The file can be there although it was not written durably: then it is
 * written back. When not even that can be done `store` is closed and `onFailure` called before the rejection: what was written to
 * the embedded log from then on could be lost.
 */
export function driverFlip(
  dataDir: string,
  driver: StoreDriver,
  store: Pick<SharedStore, 'close'>,
  onFailure: (reason: SwarmdError) => void,
  save: (dataDir: string, driver: StoreDriver) => Promise<void> = saveDriver,
): DriverFlip {
  let isUnsure = false;
  return {
    get isUnsure() {
      return isUnsure;
    },
    run: async () => {
      try {
        await save(dataDir, driver);
      } catch (error) {
        try {
          await save(dataDir, 'level');
        } catch (cause) {
          isUnsure = true;
          // Not waited for: it lets the writes go that wait for this move, and refuses them.
          store.close().catch(() => {});
          onFailure(new SwarmdError('unavailable', 'which log the store is on could not be written', { cause }));
        }
        throw error;
      }
    },
  };
}
