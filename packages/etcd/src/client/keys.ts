import type { KeyValue } from '../gen/etcd/kv.js';
import {
  type Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  RangeRequest,
  type RequestOp,
  type TxnResponse,
} from '../gen/etcd/rpc.js';

/** The end of the range of all keys that start with `prefix`, which is not empty (etcd's `clientv3.GetPrefixRangeEnd`). */
export function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix, 'utf8');
  // Valid UTF-8 holds no 0xff, so the last byte can always be raised.
  end[end.length - 1]! += 1;
  return end;
}

/** A condition of a transaction: the key was last changed at `revision`; 0: there is no such key. */
export function changedAt(key: string, revision: number): Compare {
  return {
    key: Buffer.from(key),
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.MOD,
    targetUnion: { $case: 'modRevision', value: revision },
  };
}

/** The operation of a transaction that puts a key. */
export function putOp(key: string, value: Buffer): RequestOp {
  return { request: { $case: 'requestPut', value: { key: Buffer.from(key), value } } };
}

/** The operation of a transaction that deletes a key, or all keys from `key` to before `end`. */
export function deleteOp(key: string, end: Buffer = Buffer.alloc(0)): RequestOp {
  return { request: { $case: 'requestDeleteRange', value: { key: Buffer.from(key), rangeEnd: end } } };
}

/** The operation of a transaction that reads a key, or what else `fields` ask for. */
export function rangeOp(key: string, fields: Partial<RangeRequest> = {}): RequestOp {
  const value = { ...RangeRequest.create(), key: Buffer.from(key), ...fields };
  return { request: { $case: 'requestRange', value } };
}

/** What the operation {@link rangeOp} at `index` of a transaction found. */
export function rangeResult(response: TxnResponse, index: number): readonly KeyValue[] {
  const found = response.responses[index]?.response;
  return found?.$case === 'responseRange' ? found.value.kvs : [];
}
