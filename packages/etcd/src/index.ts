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
/** How long an etcd member may take to answer before it counts as gone, in milliseconds. */
export const ETCD_CALL_TIMEOUT_MS = 5_000;
export { type InitialMember, MAX_REQUEST_BYTES, MAX_TXN_OPS } from './process/flags.js';
export type { EtcdTls } from './process/key-directory.js';
export { startEtcdMember } from './process/member.js';
export type { EtcdMember, EtcdMemberOptions, EtcdMemberState } from './process/options.js';
export type { GoneReason } from './process/verdict.js';
