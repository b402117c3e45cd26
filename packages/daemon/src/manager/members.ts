import { addLearner, type EtcdAdmin, type EtcdClusterMember, promoteLearner, removeMember } from '@swarmd/etcd';
import type { LeaderCallHandlers } from '@swarmd/manager';
import { CLUSTER_KEY, type Clock, type Node, type Random, SwarmdError } from '@swarmd/model';
import { z } from 'zod';
import { memberOperation, PATIENCE_MS } from './member-operation.js';
import { MoveSchema, memberCertificate, tellMembers } from './readdress.js';
import type { StoreHost } from './store-host.js';

const AddSchema = z.object({ nodeId: z.string(), peerUrl: z.url(), csrPem: z.string() });
const PromoteSchema = z.object({ nodeId: z.string(), peerUrl: z.url() });

const AddedSchema = z.object({
  initialCluster: z.array(z.object({ name: z.string(), peerUrl: z.string() })),
  caPem: z.string(),
  certificatePem: z.string(),
  /** Base64. */
  dataKey: z.string(),
  /** `SWMKEY-1-…`, when managers are locked: what is kept of this answer is to be sealed from the start. */
  unlockKey: z.string().optional(),
});

/** What a new manager is given when it is let into the store. */
export type Added = z.infer<typeof AddedSchema>;

/** Checks what the leader answered to `managers.add`. */
export function parseAdded(answer: unknown): Added {
  return AddedSchema.parse(answer);
}

/**
 * What the leader does for a node that is to become a manager: `managers.add` lets it into the store as a learner (moving
 * the store to etcd first if it must), `managers.move` tells the members of another address of one, `managers.promote` gives it its vote once it has caught up. Both may be repeated.
 */
export function memberHandlers(host: StoreHost, clock: Clock, random: Random): LeaderCallHandlers {
  let turn: Promise<unknown> = Promise.resolve();
  /** Managers come in one at a time: etcd has one learner at a time. */
  const inTurn = <R>(work: () => Promise<R>): Promise<R> => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };
  return {
    'managers.add': (args) => inTurn(() => add(host, AddSchema.parse(args), clock, random)),
    'managers.move': (args) =>
      inTurn(async () => {
        const request = MoveSchema.parse(args);
        requireManager(host, request.nodeId);
        const { admin } = await host.share();
        const certificatePem = await memberCertificate(host.store, request, clock, random);
        await tellMembers(admin, request.nodeId, request.peerUrl, clock);
        return { certificatePem };
      }),
    'managers.promote': async (args) => {
      const { nodeId, peerUrl } = PromoteSchema.parse(args);
      requireManager(host, nodeId);
      const { admin } = await host.share();
      const member = (await list(admin)).find(({ peerUrls }) => peerUrls.includes(peerUrl));
      if (member === undefined) throw new SwarmdError('not-found', `node ${nodeId} was not let into the store yet`);
      await promoteLearner(memberOperation(admin, clock), member.id);
    },
  };
}

async function add(
  host: StoreHost,
  { nodeId, peerUrl, csrPem }: z.infer<typeof AddSchema>,
  clock: Clock,
  random: Random,
): Promise<Added> {
  requireManager(host, nodeId);
  const { admin } = await host.share();
  const { EtcdCA, UnlockKey } = host.store.view.get('cluster', CLUSTER_KEY) ?? {};
  if (EtcdCA === undefined) throw new SwarmdError('internal', 'the cluster has no CA for etcd');
  const certificatePem = await memberCertificate(host.store, { nodeId, peerUrl, csrPem }, clock, random);
  await removeReplaced(host, nodeId, peerUrl, clock);
  await addLearner(memberOperation(admin, clock), peerUrl);
  const initialCluster = (await list(admin)).flatMap(({ name, peerUrls }) =>
    peerUrls.map((url) => ({ name: url === peerUrl ? nodeId : name || url, peerUrl: url })),
  );
  const dataKey = Buffer.from(host.dataKeys.current.bytes).toString('base64');
  const lock = UnlockKey === undefined ? {} : { unlockKey: UnlockKey };
  return { initialCluster, caPem: EtcdCA.Certificate, certificatePem, dataKey, ...lock };
}

/**
 * Takes out what the newcomer replaces: its own former member, if it has lost its data, and whoever had its address: there
 * is another host now. The node of that member, if it is another one, is a manager no more.
 */
async function removeReplaced(host: StoreHost, nodeId: string, peerUrl: string, clock: Clock): Promise<void> {
  const { admin } = await host.share();
  for (const { id, name, peerUrls } of await list(admin)) {
    const replaced = name === nodeId || (name !== '' && peerUrls.includes(peerUrl));
    if (!replaced) continue;
    await removeMember(memberOperation(admin, clock), id);
    if (name === nodeId) continue;
    await host.store.update((tx) => {
      const node = tx.get('node', name);
      if (node?.Spec.Role === 'manager') tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'worker' } });
    });
  }
}

function requireManager({ store }: StoreHost, nodeId: string): Node {
  const node = store.view.get('node', nodeId);
  if (node?.Spec.Role === 'manager') return node;
  throw new SwarmdError('failed-precondition', `node ${nodeId} is not to be a manager of this cluster`);
}

function list(admin: EtcdAdmin): Promise<EtcdClusterMember[]> {
  return admin.memberList(AbortSignal.timeout(PATIENCE_MS));
}
