import { type EtcdAdmin, type EtcdClusterMember, promoteLearner, reachablePeers } from '@swarmd/etcd';
import { CLUSTER_KEY, type Clock, isStandby, type Store, SwarmdError, withVote } from '@swarmd/model';
import type { Logger } from 'pino';
import { z } from 'zod';
import { memberOperation, PATIENCE_MS } from './member-operation.js';
import type { StoreHost } from './store-host.js';

/** A standby may take this long to answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 3_000;

const StandbyOrdersSchema = z.object({
  /** As of a manager that serves: what the secrets on the standby's disk are to be sealed with. */
  unlockKey: z.string().optional(),
  /** The data key in use, and the IDs of all that the leader holds. */
  dataKey: z.string(),
  dataKeys: z.array(z.string()),
  /** etcd's revision by which nothing needs any other data key. */
  revision: z.number(),
});

/** Checks what the leader answered to `managers.promote`. */
export const StandbySchema = z.object({ standby: StandbyOrdersSchema.optional() }).nullish();

/** What a standby is told when it asks for its vote: what it needs to be of use when the leader is lost. */
export type StandbyOrders = z.infer<typeof StandbyOrdersSchema>;

/**
 * etcd has one learner at a time, and three managers need no standby: the one that there is gets its vote before a
 * newcomer comes in. A newcomer beside two voters is no standby either. `failed-precondition` when the standby does not
 * answer or has not caught up.
 */
export async function giveStandbysTheirVotes(
  host: StoreHost,
  admin: EtcdAdmin,
  newcomer: string,
  { clock, logger }: { clock: Clock; logger: Logger },
): Promise<void> {
  const members = await admin.memberList(AbortSignal.timeout(PATIENCE_MS));
  for (const member of members) {
    const node = host.store.view.get('node', member.name);
    if (!member.isLearner || member.name === newcomer || node === undefined || !isStandby(node)) continue;
    const refuse = (why: string, cause?: unknown): Error => {
      const who = `the standby ${node.Description?.Hostname || member.name}`;
      const problem = `${who} gets its vote before another manager comes in, and it ${why}`;
      return new SwarmdError('failed-precondition', `${problem}: start it, or demote it`, { cause });
    };
    // etcd would give one that is gone its vote, if only it had caught up before: then there would be no quorum.
    if (!(await answers(host, member))) throw refuse('does not answer');
    await promoteLearner(memberOperation(admin, clock), member.id).catch((error: unknown) => {
      throw refuse('has not caught up', error);
    });
    await standbyNoMore(host.store, member.name, logger);
  }
  if (members.filter(({ isLearner }) => !isLearner).length > 1) await standbyNoMore(host.store, newcomer, logger);
}

async function answers({ etcd }: StoreHost, member: EtcdClusterMember): Promise<boolean> {
  if (etcd?.process === undefined) return false;
  const { clientTls } = etcd.process;
  return (await reachablePeers([member], clientTls, AbortSignal.timeout(ANSWER_TIMEOUT_MS))).size === 1;
}

/** Takes the label off a standby that has its vote, or is to have it. */
export async function standbyNoMore(store: Store, nodeId: string, logger: Logger): Promise<void> {
  const seen = store.view.get('node', nodeId);
  if (seen === undefined || !isStandby(seen)) return;
  const done = await store.update((tx) => {
    const node = tx.get('node', nodeId);
    if (node === undefined || !isStandby(node)) return false;
    tx.put('node', { ...node, Spec: withVote(node.Spec) });
    return true;
  });
  if (done) logger.info({ node: nodeId }, 'a standby is a manager with a vote from now on');
}

/** What a standby is told. */
export async function ordersFor({ store, dataKeys }: StoreHost, admin: EtcdAdmin): Promise<StandbyOrders> {
  // The keys first: what is at or after the revision needs none that was forgotten before.
  const keys = { dataKey: dataKeys.cipher.keyId, dataKeys: dataKeys.ids };
  const { UnlockKey } = store.view.get('cluster', CLUSTER_KEY) ?? {};
  const { revision } = await admin.status(AbortSignal.timeout(PATIENCE_MS));
  return { ...keys, revision, ...(UnlockKey === undefined ? {} : { unlockKey: UnlockKey }) };
}
