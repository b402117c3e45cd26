export type { EtcdCallOptions, EtcdTls } from './client/connection.js';
export { surelyNotApplied } from './client/errors.js';
export { createEtcdClient, type EtcdClient, type EtcdClientOptions } from './client/etcd-client.js';
export { changedAt, deleteOp, prefixEnd, putOp, rangeOp, rangeResult } from './client/keys.js';
export type { WatchHandlers } from './client/watch.js';
export { type Event, Event_EventType as EventType, type KeyValue } from './gen/etcd/kv.js';
export {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  type Compare,
  Compare_CompareResult as CompareResult,
  Compare_CompareTarget as CompareTarget,
  type Member,
  type RangeRequest,
  RangeRequest_SortOrder as SortOrder,
  RangeRequest_SortTarget as SortTarget,
  type RangeResponse,
  type RequestOp,
  type StatusResponse,
  type TxnResponse,
  type WatchResponse,
} from './gen/etcd/rpc.js';
export { ETCD_CALL_TIMEOUT_MS } from './limits.js';
