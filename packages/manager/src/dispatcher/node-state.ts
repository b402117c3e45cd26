import type { Node, NodeDescription, WriteTx } from '@swarmd/model';

/** What a node says of itself when it registers. */
export interface Registration {
  nodeId: string;
  sessionId: string;
  bootNonce: string;
  /** The role in the certificate of its session. */
  role: 'worker' | 'manager';
  /** That certificate, as the node's object has it. */
  certificate: Node['Certificate'];
  /** Address it is reached at, without a port. */
  addr: string;
  description: NodeDescription | undefined;
}

/** Writes that a node has registered: it is ready, in a new session. Returns the node, `undefined` when it was removed. */
export function registerNode(tx: WriteTx, registration: Registration): Node | undefined {
  const node = tx.get('node', registration.nodeId);
  if (node === undefined) return undefined;
  const { DownSince: _over, ...rest } = node;
  const description = registration.description ?? node.Description;
  return tx.put('node', {
    ...rest,
    ...(description === undefined ? {} : { Description: description }),
    Status: { State: 'ready', Addr: registration.addr },
    Session: { ID: registration.sessionId, BootNonce: registration.bootNonce },
    CertificateRole: registration.role,
    ...(registration.certificate === undefined ? {} : { Certificate: registration.certificate }),
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
 * Writes that nobody knows how the nodes are, as a new leader must begin: all but those already down. Returns those
 * that are to be waited for, with the session that they last had.
 */
export function markUnknown(tx: WriteTx): { nodeId: string; session: string | undefined }[] {
  const nodes = [...tx.all('node')].filter((node) => node.Status.State !== 'down');
  const message = 'Node moved to "unknown" state due to leadership change in cluster';
  for (const node of nodes) {
    if (node.Status.State === 'unknown') continue;
    tx.put('node', { ...node, Status: { ...node.Status, State: 'unknown', Message: message } });
  }
  return nodes.map((node) => ({ nodeId: node.ID, session: node.Session?.ID }));
}

/** Writes a changed description. False when the node has gone or nothing changed. */
export function describeNode(tx: WriteTx, nodeId: string, description: NodeDescription): boolean {
  const node = tx.get('node', nodeId);
  if (node === undefined || JSON.stringify(node.Description) === JSON.stringify(description)) return false;
  tx.put('node', { ...node, Description: description });
  return true;
}
