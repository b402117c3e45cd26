import { type Loop, startLoop } from '@swarmd/manager';
import { CLUSTER_KEY, type Clock, type Store } from '@swarmd/model';
import { parseUnlockKey, type UnlockKey, type Vault } from '@swarmd/store';
import type { Logger } from 'pino';
import type { DataKeys } from './data-keys.js';

/** What {@link startLockLoop} needs. */
export interface LockLoopDependencies {
  store: Store;
  vault: Vault;
  dataKeys: DataKeys;
  /** Whether the node's key is to be renewed: it was on the disk in the clear before it was sealed. */
  nodeKeyWasClear(): Promise<boolean>;
  /** Asks for a certificate with a new key. */
  renewCertificate(): void;
  /** Called when the secrets lie as the cluster object says. */
  onSealed?(): void;
  clock: Clock;
  logger: Logger;
}

/**
 * Keeps what is secret on this manager's disk as the cluster object says: sealed with its unlock key, or in the clear.
 * Every manager runs it, whether it leads or not. Sealing with another key also replaces the data key, and sealing what
 * was in the clear the node's own key: whoever has read the disk before has nothing that is still in use.
 */
export function startLockLoop(deps: LockLoopDependencies): Loop {
  const { store, vault, dataKeys, logger } = deps;
  const wanted = (): UnlockKey | undefined => {
    const text = store.view.get('cluster', CLUSTER_KEY)?.UnlockKey;
    return text === undefined ? undefined : parseUnlockKey(text);
  };
  let asked = false;
  const loop = startLoop<'secrets'>(
    {
      name: 'lock',
      dirtiedBy: ({ table }, mark) => {
        if (table === 'cluster' || dataKeys.wantsCare(vault.key?.id ?? '')) mark('secrets');
      },
      allKeys: () => ['secrets'],
      pass: async (_keys, { signal }) => {
        const key = wanted();
        const before = vault.key;
        if (await vault.rekey(key)) logger.info({ before: before?.id, now: key?.id }, what(key));
        if (before?.id !== key?.id) deps.onSealed?.();
        const clear = await deps.nodeKeyWasClear();
        // Asked once, it tries until it succeeds.
        if (clear && !asked) deps.renewCertificate();
        asked = clear;
        await dataKeys.tend(key?.id ?? '', signal);
      },
    },
    deps,
  );
  return {
    resync: () => loop.resync(),
    stop: async () => {
      await loop.stop();
      await dataKeys.keepUses().catch((error: unknown) => {
        logger.warn({ err: error }, 'how often the data key was used could not be kept');
      });
    },
  };
}

function what(key: UnlockKey | undefined): string {
  return key === undefined ? 'this manager is no longer locked at rest' : 'this manager’s keys are sealed';
}
