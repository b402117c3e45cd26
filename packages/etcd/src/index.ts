export type { EtcdAdmin, EtcdAlarm, EtcdClusterMember, EtcdProbe, EtcdStatus } from './admin/admin.js';
export { type EtcdErrorKind, etcdErrorKind } from './admin/errors.js';
export { createEtcdAdmin, etcdAdminOver } from './admin/grpc-admin.js';
export { fsyncP99Ms, histogramP99 } from './admin/metrics.js';
export type { EtcdEndpoint } from './admin/target.js';
export { type EtcdBinary, findEtcd } from './binary/find-etcd.js';
export {
  createEtcdCa,
  createEtcdKeyAndCsr,
  type EtcdCa,
  type EtcdCertificateOptions,
  issueEtcdCertificate,
} from './certificates/certificate.js';
export type { EtcdCallOptions, EtcdTls as EtcdClientTls } from './client/connection.js';
export { surelyNotApplied } from './client/errors.js';
export { createEtcdClient, type EtcdClient, type EtcdClientOptions } from './client/etcd-client.js';
export { changedAt, deleteOp, prefixEnd, putOp, rangeOp, rangeResult } from './client/keys.js';
export type { WatchHandlers } from './client/watch.js';
export { commitEtcdLog } from './data/commit-log.js';
export { compareEtcdData, type EtcdDataState, inspectEtcdData } from './data/inspect.js';
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
export { type EtcdLimits, probeLimits } from './maintenance/limits.js';
export {
  type EtcdMaintenance,
  type MaintenanceOptions,
  type MaintenanceReport,
  startEtcdMaintenance,
} from './maintenance/maintenance-loop.js';
export {
  addLearner,
  type MemberOperation,
  moveLeader,
  promoteLearner,
  removeMember,
  updatePeerUrl,
} from './members/members.js';
export { reachablePeers } from './members/peers.js';
export { mayRemove, type QuorumMargin, quorumMargin, type RemovalVerdict } from './members/quorum.js';
export { type InitialMember, MAX_REQUEST_BYTES, MAX_TXN_OPS } from './process/flags.js';
export type { EtcdTls } from './process/key-directory.js';
export { startEtcdMember } from './process/member.js';
export type { EtcdMember, EtcdMemberOptions, EtcdMemberState } from './process/options.js';
export type { GoneReason } from './process/verdict.js';
