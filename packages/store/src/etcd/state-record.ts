import type { KeyValue } from '@swarmd/etcd';
import type { Leader } from '@swarmd/model';
import { SwarmdError } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';
import { formatLogState, type LogState, parseLogState } from '../records/digest.js';
import { damaged, type Layout } from './layout.js';

/** The log's state, and the term of the leader who brought it there. */
export interface SharedState extends LogState {
  term: number;
  /** There when the last write gave records other seals, and nothing else: it is no entry of the log. */
  resealed?: true;
}

/** The leader as the fence says, and which opening of a log claimed it. */
export interface Fence extends Leader {
  claimant: string;
}

const STATE = 'state';
const PENDING = 'pending';

/** The value of the state's key. */
export function sealState(cipher: ValueCipher, state: SharedState): Buffer {
  const { term, resealed } = state;
  const text = JSON.stringify({ ...JSON.parse(formatLogState(state)), term, resealed });
  return cipher.seal(STATE, state.index, text);
}

/** The inverse of {@link sealState}. Throws `damaged`, `failed-precondition` when it was sealed with another data key. */
export function openState(layout: Layout, cipher: ValueCipher, sealed: Buffer): SharedState {
  const text = openText(layout, cipher, STATE, sealed);
  const { term, resealed } = JSON.parse(text) as Pick<SharedState, 'term' | 'resealed'>;
  return { ...parseLogState(text), term, ...(resealed ? { resealed } : {}) };
}

/** The value of the key that says that the entry with `index` is durable in `count` parts. */
export function sealPending(cipher: ValueCipher, index: number, count: number): Buffer {
  return cipher.seal(PENDING, index, JSON.stringify({ index, count }));
}

/** The inverse of {@link sealPending}. Throws as {@link openState}. */
export function openPending(layout: Layout, cipher: ValueCipher, sealed: Buffer): { index: number; count: number } {
  return JSON.parse(openText(layout, cipher, PENDING, sealed)) as { index: number; count: number };
}

/** The value of the fence's key. */
export function formatFence({ nodeId, addr, claimant }: Omit<Fence, 'term'>): Buffer {
  return Buffer.from(JSON.stringify({ nodeId, addr, claimant }));
}

/** The leader in the fence's key. Throws `damaged`. */
export function parseFence(layout: Layout, kv: KeyValue | undefined): Fence | undefined {
  if (kv === undefined) return undefined;
  try {
    const { nodeId, addr, claimant } = JSON.parse(kv.value.toString()) as Record<string, unknown>;
    if (typeof nodeId === 'string' && typeof addr === 'string')
      return { nodeId, addr, claimant: String(claimant), term: kv.modRevision };
  } catch {
    // Said below.
  }
  throw damaged(layout, 'the record of the leader was altered');
}

function openText(layout: Layout, cipher: ValueCipher, key: string, sealed: Buffer): string {
  const opened = cipher.open(key, sealed);
  if (!('problem' in opened)) return opened.plaintext.toString();
  if (opened.problem === 'altered') throw damaged(layout, `the record "${key}" was altered`);
  throw new SwarmdError(
    'failed-precondition',
    `the store in etcd under ${layout.prefix} was made with another data key than ${cipher.keyId}: ` +
      'put back the data key file that belongs to it',
  );
}
