import { type EtcdAdmin, promoteLearner } from '@swarmd/etcd';
import { CLUSTER_KEY, type Clock, isStandby, type Store, SwarmdError, withVote } from '@swarmd/model';
import type { Logger } from 'pino';
import { z } from 'zod';
import { memberOperation, PATIENCE_MS } from './member-operation.js';
import type { StoreHost } from './store-host.js';

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
 * newcomer comes in. A newcomer beside two voters is no standby either. `unavailable` when the standby has not caught up.
 */
export async function giveStandbysTheirVotes(
  host: StoreHost,
  admin: EtcdAdmin,
  newcomer: string,
  { clock, logger }: { clock: Clock; logger: Logger },
): Promise<void> {
  const members = await admin.memberList(AbortSignal.timeout(PATIENCE_MS));
  for (const { id, name, isLearner } of members) {
    const node = host.store.view.get('node', name);
    if (!isLearner || name === newcomer || node === undefined || !isStandby(node)) continue;
    try {
      await promoteLearner(memberOperation(admin, clock), id);
    } catch (cause) {
      const who = node.Description?.Hostname || name;
      const problem = `the standby ${who} gets its vote before another manager comes in, and it has not caught up`;
      throw new SwarmdError('unavailable', `${problem}: start it, or demote it`, { cause });
    }
    await standbyNoMore(host.store, name, logger);
  }
  if (members.filter(({ isLearner }) => !isLearner).length > 1) await standbyNoMore(host.store, newcomer, logger);
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
