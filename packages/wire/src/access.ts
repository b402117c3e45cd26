import type { NodeRole } from './identity.js';

/** Who may call a method: anybody, any node of the cluster, or its managers only. */
export type Access = 'anyone' | 'node' | 'manager';

/** Access by the full path of a method. A method that is not in it is denied to all. */
export type AccessTable = Readonly<Record<string, Access>>;

/** Who may call what on a manager's port: the one authorisation table. */
export const METHOD_ACCESS: AccessTable = {
  '/swarmd.v1.CertificateAuthority/GetRootCertificate': 'anyone',
  '/swarmd.v1.CertificateAuthority/IssueCertificate': 'anyone',
  '/swarmd.v1.Dispatcher/Session': 'node',
  '/swarmd.v1.Dispatcher/PublishLogs': 'node',
  '/swarmd.v1.Cluster/Attach': 'manager',
  '/swarmd.v1.Cluster/Call': 'manager',
  '/swarmd.v1.Cluster/CallInParts': 'manager',
  '/swarmd.v1.Cluster/Relay': 'manager',
  '/swarmd.v1.Cluster/Ask': 'manager',
  '/swarmd.v1.Cluster/Hears': 'manager',
  '/swarmd.v1.LogRelay/ReadLogs': 'manager',
  '/swarmd.v1.SessionProbe/Probe': 'manager',
  '/swarmd.v1.SessionProbe/AwaitEndpoints': 'manager',
  '/swarmd.v1.NodeInquiry/AskNode': 'manager',
};

/** Whether `role` (`undefined` without a valid certificate) may call `path`. */
export function mayCall(table: AccessTable, path: string, role: NodeRole | undefined): boolean {
  const access = Object.hasOwn(table, path) ? table[path] : undefined;
  if (access === 'anyone') return true;
  if (access === 'node') return role !== undefined;
  return access === 'manager' && role === 'manager';
}
