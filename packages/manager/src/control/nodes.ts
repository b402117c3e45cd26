import {
  CLUSTER_KEY,
  type Cluster,
  type Control,
  DEFAULTS,
  durationMs,
  isStandby,
  isTerminal,
  type Node,
  type NodeSpec,
  NodeSpecSchema,
  type ReadView,
  rfc3339,
  type SwarmdError,
  type Task,
  type WriteTx,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { outOfSequence, rpcError } from './errors.js';
import { checkFilters, checkFilterValues, equalTest, labelTest, prefixTest, select } from './filters.js';
import { nodeToApi } from './node-shapes.js';
import { parseBody } from './parse.js';
import { resolve } from './references.js';
import { createTlsInfoReader } from './tls-info.js';

type NodeControl = Pick<Control, 'listNodes' | 'getNode' | 'updateNode' | 'removeNode'>;

const FILTERS = ['id', 'name', 'label', 'node.label', 'role', 'membership'];

/** Nodes: lists, role, availability and label changes, removal. */
export function nodeControl(deps: ControlDependencies): NodeControl {
  const { store, clock, refuseManager = async () => undefined, refuseStandby = () => undefined } = deps;
  const tlsInfo = createTlsInfoReader();
  return {
    async listNodes(filters) {
      checkFilters(filters, FILTERS);
      checkFilterValues(filters, 'role', ['manager', 'worker']);
      checkFilterValues(filters, 'membership', ['accepted', 'pending']);
      const view = store.view;
      const tls = tlsInfo(view.get('cluster', CLUSTER_KEY));
      const nodes = select<Node>(view.all('node'), [
        prefixTest(filters['id'], (n) => n.ID),
        prefixTest(filters['name'], (n) => n.Description?.Hostname ?? ''),
        labelTest(filters['label'], (n) => n.Description?.Engine.Labels),
        labelTest(filters['node.label'], (n) => n.Spec.Labels),
        equalTest(filters['role'], (n) => n.Spec.Role),
        equalTest(filters['membership'], () => 'accepted'),
      ]);
      return nodes.map((node) => nodeToApi(node, tls));
    },
    async getNode(ref) {
      const view = store.view;
      return nodeToApi(resolve(view, 'node', ref), tlsInfo(view.get('cluster', CLUSTER_KEY)));
    },
    async updateNode(ref, version, body) {
      const spec = parseBody(NodeSpecSchema, body);
      if (spec.Role === 'manager' && resolve(store.view, 'node', ref).Spec.Role === 'worker') {
        const refusal = await refuseManager();
        if (refusal !== undefined) throw rpcError(refusal.code, refusal.message, 'Role');
      }
      await store.update((tx) => {
        const node = resolve(tx, 'node', ref);
        if (node.Version.Index !== version) throw outOfSequence();
        const next = nextSpec(node, spec);
        checkRoleChange(tx, node, next);
        checkStandby(tx, node, next, refuseStandby());
        tx.put('node', { ...node, Spec: next });
      });
    },
    async removeNode(ref, force) {
      await store.update((tx) => removeNode(tx, resolve(tx, 'node', ref), force, clock.now()));
    },
  };
}

function checkRoleChange(tx: WriteTx, node: Node, { Role }: Node['Spec']): void {
  // What has no vote is missed by nobody.
  if (node.Spec.Role === 'worker' || Role === 'manager' || isStandby(node)) return;
  const all = managers(tx).filter((manager) => !isStandby(manager));
  if (all.length <= 1)
    throw rpcError('failed-precondition', 'attempting to demote the last manager of the swarm', 'Role');
  // Who is left must be a majority of who is left, or nobody could agree on the demotion.
  const rest = all.filter((other) => other.ID !== node.ID);
  const reachable = rest.filter(({ ManagerStatus }) => ManagerStatus?.Reachability === 'reachable');
  if (reachable.length * 2 <= rest.length) {
    const message = "can't remove member from the raft: this would result in a loss of quorum";
    throw rpcError('failed-precondition', message, 'Role');
  }
}

/** A standby is one beside the only manager, and what it is from the start: nobody gives a vote back. */
function checkStandby(tx: WriteTx, node: Node, Spec: Node['Spec'], refusal: SwarmdError | undefined): void {
  if (!isStandby({ Spec }) || isStandby(node)) return;
  const refuse = (why: string): Error => rpcError('failed-precondition', why, 'Labels');
  if (refusal !== undefined) throw refuse(refusal.message);
  if (node.Spec.Role === 'manager') {
    const advice = 'demote it, then promote it with --standby';
    throw refuse(`node ${node.ID} is a manager with a vote and cannot become a standby as it is: ${advice}`);
  }
  const all = managers(tx);
  const standby = all.find(isStandby);
  if (standby !== undefined) {
    const name = standby.Description?.Hostname || standby.ID;
    throw refuse(`${name} is the standby already, and there is one at most: promote this node with a vote`);
  }
  if (all.length === 1) return;
  throw refuse(`a standby is for a cluster with one manager, and this one has ${all.length}: promote with a vote`);
}

function nextSpec(node: Node, spec: NodeSpec): Node['Spec'] {
  const { Name, ...rest } = spec;
  return {
    ...rest,
    ...(Name ? { Name } : {}),
    Labels: spec.Labels ?? {},
    Role: spec.Role ?? node.Spec.Role,
    Availability: spec.Availability ?? node.Spec.Availability,
  };
}

function managers(view: ReadView): Node[] {
  return [...view.all('node')].filter((node) => node.Spec.Role === 'manager');
}

/**
 * Removes a node. Its tasks that have not ended become orphaned and it is locked out, all in the same transaction:
 * nothing ever sees a task on a node that does not exist.
 */
function removeNode(tx: WriteTx, node: Node, force: boolean, now: number): void {
  // One that was demoted counts no more, though it may be gone and never renew its certificate; its vote goes by itself.
  if (node.Spec.Role === 'manager') {
    const message = `node ${node.ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`;
    throw rpcError('failed-precondition', message);
  }
  if (!force && node.Status.State === 'ready') {
    throw rpcError('failed-precondition', `node ${node.ID} is not down and can't be removed`);
  }
  for (const task of [...tx.find('task', 'node', node.ID)]) orphan(tx, task);
  const cluster = tx.get('cluster', CLUSTER_KEY);
  if (cluster !== undefined) tx.put('cluster', { ...cluster, RemovedNodes: lockOut(cluster, node.ID, now) });
  tx.delete('node', node.ID);
}

function orphan(tx: WriteTx, task: Task): void {
  if (isTerminal(task.Status.State)) return;
  tx.put('task', {
    ...task,
    Status: {
      ...task.Status,
      State: 'orphaned',
      Timestamp: tx.now,
      AppliedAt: tx.now,
      Message: 'node was removed from the cluster',
    },
  });
}

/** The removed nodes with one more, less those whose certificates have run out. */
function lockOut(cluster: Cluster, id: string, now: number): Cluster['RemovedNodes'] {
  const kept = Object.entries(cluster.RemovedNodes).filter(([, { Expiry }]) => Date.parse(Expiry) > now);
  const lifetimeMs = durationMs(cluster.Spec.CAConfig?.NodeCertExpiry, DEFAULTS.nodeCertExpiryMs);
  return { ...Object.fromEntries(kept), [id]: { Expiry: rfc3339(now + lifetimeMs) } };
}
