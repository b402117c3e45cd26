import {
  CLUSTER_KEY,
  type ForeignAttachment,
  type Node,
  type NodeDataPath,
  type NodeDescription,
  type ReadView,
  type WriteTx,
} from '@swarmd/model';
import { certificateOf, withReportedRoot, withTlsInfo } from './certificate-report.js';
import { isPossible } from './data-path.js';

/** What a node says of itself when it registers. */
export interface Registration {
  nodeId: string;
  sessionId: string;
  bootNonce: string;
  /** The manager that holds the session, by its node ID. */
  managerId: string;
  /** The role in the certificate of its session. */
  role: 'worker' | 'manager';
  /** That certificate, DER. */
  certificate: Uint8Array;
  /** Address it is reached at, without a port. */
  addr: string;
  description: NodeDescription | undefined;
  /** Of its swarmd; empty when it does not say. */
  version: string;
  /** How it takes part in overlays; `undefined` when it does not. */
  dataPath?: NodeDataPath | undefined;
}

/** A session of a node; what is written of a node holds for that session only. `undefined`: it never had one. */
export interface NodeSession {
  nodeId: string;
  session: string | undefined;
  /** The node has said goodbye, and is to be waited for this long. */
  backWithinMs?: number;
}

/** Writes that a node has registered: it is ready, in a new session. Returns the node, `undefined` when it was removed. */
export function registerNode(tx: WriteTx, registration: Registration): Node | undefined {
  const node = tx.get('node', registration.nodeId);
  if (node === undefined) return undefined;
  const { DownSince: _over, SwarmdVersion: _before, DataPath: _path, Attachments: reported, ...rest } = node;
  // The leader's roots decide who issued it: another manager's may be behind.
  const cluster = tx.get('cluster', CLUSTER_KEY);
  const description = withTlsInfo(cluster, registration.certificate, registration.description ?? node.Description);
  const certificate = certificateOf(cluster, registration.certificate);
  const { sessionId, bootNonce, managerId, dataPath } = registration;
  return tx.put('node', {
    ...rest,
    ...(description === undefined ? {} : { Description: description }),
    Status: { State: 'ready', Addr: registration.addr },
    Session: { ID: sessionId, BootNonce: bootNonce, Manager: managerId },
    CertificateRole: registration.role,
    ...(registration.version === '' ? {} : { SwarmdVersion: registration.version }),
    ...(certificate === undefined ? {} : { Certificate: certificate }),
    // What it reported stands until it reports again, unless nothing of its can be reached any more.
    ...(dataPath === undefined ? {} : { DataPath: dataPath, ...(reported && { Attachments: reported }) }),
  });
}

/**
 * Writes that a node is down, unless it has registered again since: compare-and-set on its session. False when nothing
 * was to be written.
 */
export function markDown(tx: WriteTx, nodeId: string, session: string | undefined, message: string): boolean {
  const node = tx.get('node', nodeId);
  if (node === undefined || node.Session?.ID !== session || node.Status.State === 'down') return false;
  tx.put('node', { ...node, Status: { ...node.Status, State: 'down', Message: message }, DownSince: tx.now });
  return true;
}

/**
 * Writes that a node has said goodbye and will be back within so long, compare-and-set on its session: whoever answers for
 * it then waits for it, also when the manager that it told goes away with it.
 */
export function markAway(tx: WriteTx, nodeId: string, session: string, backWithinMs: number): void {
  const node = tx.get('node', nodeId);
  if (node?.Session?.ID !== session) return;
  tx.put('node', { ...node, Session: { ...node.Session, BackWithinMs: backWithinMs } });
}

/** The sessions of the nodes that `wanted` picks, but of those already down: what a manager answers for anew. */
export function awaitedSessions(view: ReadView, wanted: (node: Node) => boolean): NodeSession[] {
  const nodes = [...view.all('node')].filter((node) => node.Status.State !== 'down' && wanted(node));
  return nodes.map(({ ID, Session }) => ({
    nodeId: ID,
    session: Session?.ID,
    ...(Session?.BackWithinMs === undefined ? {} : { backWithinMs: Session.BackWithinMs }),
  }));
}

/** Writes that nobody knows how these nodes are, each unless it has registered again since or is known to be down. */
export function markUnknown(tx: WriteTx, sessions: readonly NodeSession[], message: string): void {
  for (const { nodeId, session } of sessions) {
    const node = tx.get('node', nodeId);
    if (node === undefined || node.Session?.ID !== session) continue;
    if (node.Status.State === 'down' || node.Status.State === 'unknown') continue;
    tx.put('node', { ...node, Status: { ...node.Status, State: 'unknown', Message: message } });
  }
}

/** Writes that these nodes were there all along, each unless it has registered again since. */
export function markReady(tx: WriteTx, sessions: readonly NodeSession[]): void {
  for (const { nodeId, session } of sessions) {
    const node = tx.get('node', nodeId);
    if (node === undefined || node.Session?.ID !== session || node.Status.State === 'ready') continue;
    const { DownSince: _over, ...rest } = node;
    tx.put('node', { ...rest, Status: { State: 'ready', Addr: node.Status.Addr } });
  }
}

/** Writes a changed description. False when the node has gone or nothing changed. */
export function describeNode(tx: WriteTx, nodeId: string, reported: NodeDescription): boolean {
  const node = tx.get('node', nodeId);
  if (node === undefined) return false;
  const description = withReportedRoot(node.Description, reported);
  if (JSON.stringify(node.Description) === JSON.stringify(description)) return false;
  tx.put('node', { ...node, Description: description });
  return true;
}

/**
 * Writes what containers besides tasks a node has on the cluster's networks, compare-and-set on its session. Only
 * attachable networks are for such containers, and only addresses of theirs; anything else is left out.
 */
export function reportAttachments(
  tx: WriteTx,
  nodeId: string,
  session: string,
  reported: readonly ForeignAttachment[],
): void {
  const node = tx.get('node', nodeId);
  if (node?.Session?.ID !== session || node.DataPath === undefined) return;
  const attachments = reported.filter((attachment) => isPossible(tx.get('network', attachment.NetworkID), attachment));
  if (JSON.stringify(node.Attachments ?? []) === JSON.stringify(attachments)) return;
  const { Attachments: _before, ...rest } = node;
  tx.put('node', attachments.length === 0 ? rest : { ...rest, Attachments: attachments });
}

/** Writes a word about a node next to its state, which stays. */
export function remarkOnNode(tx: WriteTx, nodeId: string, message: string): void {
  const node = tx.get('node', nodeId);
  if (node === undefined || node.Status.Message === message) return;
  tx.put('node', { ...node, Status: { ...node.Status, Message: message } });
}
