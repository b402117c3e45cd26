import type { EtcdAdmin, MemberOperation } from '@swarmd/etcd';
import type { Clock } from '@swarmd/model';

/** Less than a forwarded call may take, so that its caller hears why. */
export const PATIENCE_MS = 8_000;

/** A bounded operation on members through `admin`. */
export function memberOperation(admin: EtcdAdmin, clock: Clock): MemberOperation {
  return { admin, clock, patienceMs: PATIENCE_MS, signal: AbortSignal.timeout(2 * PATIENCE_MS) };
}
