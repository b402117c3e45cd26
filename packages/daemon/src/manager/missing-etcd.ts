import { findEtcd } from '@swarmd/etcd';
import { asSwarmdError, type SwarmdError } from '@swarmd/model';
import type { DaemonConfig } from '../config.js';

/** Why this host cannot run a member of the managers' etcd; `undefined` when it can, or need not. */
export async function missingEtcd({ etcd, store }: DaemonConfig): Promise<SwarmdError | undefined> {
  if (store !== undefined) return undefined;
  try {
    await findEtcd(etcd);
    return undefined;
  } catch (error) {
    return asSwarmdError(error);
  }
}
