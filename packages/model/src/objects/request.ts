import type { StoredObject } from './common.js';

/**
 * A write that a manager took for a client, kept for some minutes under the ID that the client's manager drew for it: when
 * the answer was lost with the leader, the next leader gives it again instead of writing twice.
 */
export interface ForwardedRequest extends StoredObject {
  /** JSON of what the transaction returned; absent when it returned nothing. */
  Result?: string;
}
