import {
  addLearner,
  type EtcdAdmin,
  type EtcdClusterMember,
  issueEtcdCertificate,
  type MemberOperation,
  promoteLearner,
  removeMember,
} from '@swarmd/etcd';
import type { LeaderCallHandlers } from '@swarmd/manager';
import { CLUSTER_KEY, type Clock, type Node, type Random, SwarmdError } from '@swarmd/model';
import { z } from 'zod';
import { peerIp } from './peer-url.js';
import { ETCD_CERTIFICATE_MS } from './share-store.js';
import { type StoreHost, storeMismatch } from './store-host.js';

/** Less than a forwarded call may take, so that its caller hears why. */
const PATIENCE_MS = 8_000;

/** `member` is the etcd of the new manager's host; it has none when it is to use one that somebody else runs. */
const AddSchema = z.object({
  nodeId: z.string(),
  member: z.object({ peerUrl: z.url(), csrPem: z.string() }).optional(),
});
const PromoteSchema = z.object({ nodeId: z.string(), peerUrl: z.url() });

const AddedSchema = z.object({
  member: z
    .object({
      initialCluster: z.array(z.object({ name: z.string(), peerUrl: z.string() })),
      caPem: z.string(),
      certificatePem: z.string(),
    })
    .optional(),
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

/** A bounded operation on members through `admin`. */
export function memberOperation(admin: EtcdAdmin, clock: Clock): MemberOperation {
  return { admin, clock, patienceMs: PATIENCE_MS, signal: AbortSignal.timeout(2 * PATIENCE_MS) };
}

/**
 * What the leader does for a node that is to become a manager: `managers.add` lets it into the store as a learner (moving
 * the store to etcd first if it must), `managers.promote` gives it its vote once it has caught up. Both may be repeated.
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
    'managers.promote': async (args) => {
      const { nodeId, peerUrl } = PromoteSchema.parse(args);
      requireManager(host, nodeId);
      const { members } = await host.share();
      if (members === undefined) return;
      const member = (await list(members)).find(({ peerUrls }) => peerUrls.includes(peerUrl));
      if (member === undefined) throw new SwarmdError('not-found', `node ${nodeId} was not let into the store yet`);
      await promoteLearner(memberOperation(members, clock), member.id);
    },
  };
}

async function add(
  host: StoreHost,
  { nodeId, member }: z.infer<typeof AddSchema>,
  clock: Clock,
  random: Random,
): Promise<Added> {
  requireManager(host, nodeId);
  const mismatch = storeMismatch(host.isExternal, member === undefined);
  if (mismatch !== undefined) throw mismatch;
  const { members } = await host.share();
  const dataKey = Buffer.from(host.dataKeys.current.bytes).toString('base64');
  const { UnlockKey } = host.store.view.get('cluster', CLUSTER_KEY) ?? {};
  const keys = { dataKey, ...(UnlockKey === undefined ? {} : { unlockKey: UnlockKey }) };
  if (members === undefined || member === undefined) return keys;
  return { ...keys, member: await addMember(host, members, { nodeId, ...member }, clock, random) };
}

async function addMember(
  host: StoreHost,
  admin: EtcdAdmin,
  { nodeId, peerUrl, csrPem }: { nodeId: string; peerUrl: string; csrPem: string },
  clock: Clock,
  random: Random,
): Promise<NonNullable<Added['member']>> {
  const { EtcdCA } = host.store.view.get('cluster', CLUSTER_KEY) ?? {};
  if (EtcdCA === undefined) throw new SwarmdError('internal', 'the cluster has no CA for etcd');
  const ca = { certificatePem: EtcdCA.Certificate, keyPem: EtcdCA.Key };
  const certificatePem = await issueEtcdCertificate(
    {
      ...{ ca, csrPem, nodeId, ips: [peerIp(peerUrl)] },
      ...{ nowMs: clock.now(), validityMs: ETCD_CERTIFICATE_MS },
    },
    random,
  );
  await removeReplaced(host, admin, nodeId, peerUrl, clock);
  await addLearner(memberOperation(admin, clock), peerUrl);
  const initialCluster = (await list(admin)).flatMap(({ name, peerUrls }) =>
    peerUrls.map((url) => ({ name: url === peerUrl ? nodeId : name || url, peerUrl: url })),
  );
  return { initialCluster, caPem: EtcdCA.Certificate, certificatePem };
}

/**
 * Takes out what the newcomer replaces: its own former member, if it has lost its data, and whoever had its address: there
 * is another host now. The node of that member, if it is another one, is a manager no more.
 */
async function removeReplaced(
  host: StoreHost,
  admin: EtcdAdmin,
  nodeId: string,
  peerUrl: string,
  clock: Clock,
): Promise<void> {
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
