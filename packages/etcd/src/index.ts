export type { EtcdAdmin, EtcdAlarm, EtcdClusterMember, EtcdProbe, EtcdStatus } from './admin/admin.js';
export { type EtcdErrorKind, etcdErrorKind } from './admin/errors.js';
export { createEtcdAdmin } from './admin/json-admin.js';
export type { EtcdEndpoint } from './admin/json-call.js';
export { type EtcdBinary, findEtcd } from './binary/find-etcd.js';
export {
  createEtcdCa,
  createEtcdKeyAndCsr,
  type EtcdCa,
  type EtcdCertificateOptions,
  issueEtcdCertificate,
} from './certificates/certificate.js';
export { commitEtcdLog } from './data/commit-log.js';
export { compareEtcdData, type EtcdDataState, inspectEtcdData } from './data/inspect.js';
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
/** How long an etcd member may take to answer before it counts as gone, in milliseconds. */
export const ETCD_CALL_TIMEOUT_MS = 5_000;
export { type InitialMember, MAX_REQUEST_BYTES, MAX_TXN_OPS } from './process/flags.js';
export type { EtcdMemberTls } from './process/key-directory.js';
export { startEtcdMember } from './process/member.js';
export type { EtcdMember, EtcdMemberOptions, EtcdMemberState } from './process/options.js';
export type { GoneReason } from './process/verdict.js';
