import { addLearner, type EtcdAdmin, type EtcdClusterMember, promoteLearner, removeMember } from '@swarmd/etcd';
import type { LeaderCallHandlers } from '@swarmd/manager';
import {
  CLUSTER_KEY,
  type Clock,
  formatRefusal,
  isStandby,
  type Node,
  type Random,
  type ReadView,
  SwarmdError,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { z } from 'zod';
import { keysToWire, WireKeysSchema } from '../lock/key-exchange.js';
import { memberCertificate } from './etcd-certificate.js';
import { createTurns } from './in-turn.js';
import { memberOperation, PATIENCE_MS } from './member-operation.js';
import { peerIp } from './peer-url.js';
import { MoveSchema, tellMembers } from './readdress.js';
import { giveStandbysTheirVotes, ordersFor } from './standby-members.js';
import { type StoreHost, storeMismatch } from './store-host.js';

/** What members are handled with. */
interface MemberPorts {
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** `member` is the etcd of the new manager's host; it has none when it is to use one that somebody else runs. */
const AddSchema = z.object({
  nodeId: z.string(),
  member: z.object({ peerUrl: z.url(), csrPem: z.string() }).optional(),
  /** What the newcomer is. */
  swarmd: z.string().default('of an unknown version'),
  stateFormat: z.number().int().default(1),
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
  /** The one that seals, base64: for managers of earlier versions. */
  dataKey: z.string(),
  /** All that the leader holds, the one that seals first. */
  dataKeys: WireKeysSchema.optional(),
  /** `SWMKEY-1-…`, when managers are locked: what is kept of this answer is to be sealed from the start. */
  unlockKey: z.string().optional(),
  /** It is to keep a copy of the state, and has no vote. */
  standby: z.boolean().default(false),
});

/** What a new manager is given when it is let into the store. */
export type Added = z.infer<typeof AddedSchema>;

/** Checks what the leader answered to `managers.add`. */
export function parseAdded(answer: unknown): Added {
  return AddedSchema.parse(answer);
}

/**
 * What the leader does for a node that is to become a manager: `managers.add` lets it into the store as a learner (moving
 * the store to etcd first if it must), `managers.move` tells the members of another address of one, `managers.promote` gives
 * it its vote once it has caught up, unless it is a standby. All may be repeated.
 */
export function memberHandlers(host: StoreHost, ports: MemberPorts): LeaderCallHandlers {
  const { clock, random } = ports;
  /** Managers come in one at a time: etcd has one learner at a time. */
  const turns = createTurns();
  return {
    'managers.add': async (args) => {
      const request = AddSchema.parse(args);
      return turns.run(request.nodeId, () => add(host, request, ports));
    },
    'managers.move': async (args) => {
      const request = MoveSchema.parse(args);
      return turns.run(request.nodeId, async () => {
        requireManager(host, request.nodeId);
        const { members } = await host.share();
        if (members === undefined) throw new SwarmdError('failed-precondition', 'etcd’s members are not ours');
        const certificatePem = await memberCertificate(host.store, request, clock, random);
        await tellMembers(members, request.nodeId, request.peerUrl, clock);
        return { certificatePem };
      });
    },
    'managers.promote': async (args) => {
      const { nodeId, peerUrl } = PromoteSchema.parse(args);
      const node = requireManager(host, nodeId);
      const { members } = await host.share();
      if (members === undefined) return {};
      const member = (await list(members)).find(({ peerUrls }) => peerUrls.includes(peerUrl));
      if (member === undefined) throw new SwarmdError('not-found', `node ${nodeId} was not let into the store yet`);
      if (member.isLearner && isStandby(node)) return { standby: await ordersFor(host, members) };
      await promoteLearner(memberOperation(members, clock), member.id);
      return {};
    },
  };
}

async function add(
  host: StoreHost,
  { nodeId, member, swarmd, stateFormat }: z.infer<typeof AddSchema>,
  ports: MemberPorts,
): Promise<Added> {
  requireManager(host, nodeId);
  const format = host.store.view.get('cluster', CLUSTER_KEY)?.StateFormat;
  const refusal = formatRefusal('the cluster’s state', format, { swarmd, stateFormat });
  if (refusal !== undefined) throw refusal;
  const mismatch = storeMismatch(host.isExternal, member === undefined);
  if (mismatch !== undefined) throw mismatch;
  const { members } = await host.share();
  const added =
    members === undefined || member === undefined
      ? undefined
      : await addMember(host, members, { nodeId, ...member }, ports);
  // Taken once the newcomer is in: a key that is announced from here on it fetches as soon as it follows.
  const dataKeys = keysToWire(host.dataKeys);
  const dataKey = Buffer.from(host.dataKeys.current.bytes).toString('base64');
  const { UnlockKey } = host.store.view.get('cluster', CLUSTER_KEY) ?? {};
  return {
    ...{ dataKey, dataKeys },
    ...(UnlockKey === undefined ? {} : { unlockKey: UnlockKey }),
    ...(added === undefined ? {} : { member: added }),
    standby: added !== undefined && isStandby(requireManager(host, nodeId)),
  };
}

async function addMember(
  host: StoreHost,
  admin: EtcdAdmin,
  { nodeId, peerUrl, csrPem }: { nodeId: string; peerUrl: string; csrPem: string },
  ports: MemberPorts,
): Promise<NonNullable<Added['member']>> {
  const { clock, random } = ports;
  const { EtcdCA } = host.store.view.get('cluster', CLUSTER_KEY) ?? {};
  if (EtcdCA === undefined) throw new SwarmdError('internal', 'the cluster has no CA for etcd');
  const certificatePem = await memberCertificate(host.store, { nodeId, peerUrl, csrPem }, clock, random);
  await removeReplaced(host, admin, nodeId, peerUrl, clock);
  await giveStandbysTheirVotes(host, admin, nodeId, ports);
  await addLearner(memberOperation(admin, clock), peerUrl);
  const initialCluster = (await list(admin)).flatMap(({ name, peerUrls }) =>
    peerUrls.map((url) => ({ name: url === peerUrl ? nodeId : name || url, peerUrl: url })),
  );
  return { initialCluster, caPem: EtcdCA.Certificate, certificatePem };
}

/**
 * The members that a newcomer replaces: its own former one, if it has lost its data, and whoever had its address, as there
 * is another host now. `already-exists` when a manager that can be reached has that address: then it is the newcomer's
 * address that is wrong, and what is there, be it the leader itself, is to stay.
 */
export function replacedMembers<M extends Pick<EtcdClusterMember, 'name' | 'peerUrls'>>(
  view: ReadView,
  members: readonly M[],
  newcomer: { nodeId: string; peerUrl: string },
): M[] {
  const { nodeId, peerUrl } = newcomer;
  return members.filter(({ name, peerUrls }) => {
    if (name === nodeId) return true;
    if (name === '' || !peerUrls.includes(peerUrl)) return false;
    if (view.get('node', name)?.ManagerStatus?.Reachability !== 'reachable') return true;
    const problem = `the manager ${name} is at ${peerIp(peerUrl)} and can be reached`;
    throw new SwarmdError('already-exists', `${problem}: leave, and join with an address of this host`);
  });
}

/** Takes out what the newcomer replaces. The node of another member is a manager no more. */
async function removeReplaced(
  host: StoreHost,
  admin: EtcdAdmin,
  nodeId: string,
  peerUrl: string,
  clock: Clock,
): Promise<void> {
  for (const { id, name } of replacedMembers(host.store.view, await list(admin), { nodeId, peerUrl })) {
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
