import type { EtcdClusterMember } from '../admin/admin.js';

/** How many losses a cluster can take. */
export interface QuorumMargin {
  voters: number;
  /** Voters that are well. */
  healthy: number;
  /** Votes that a write takes. */
  quorum: number;
  /** So many more voters can be lost; negative: so many are missing for any write. */
  margin: number;
}

/** Whether a member may be removed, with the margin afterwards or the reason against it. */
export type RemovalVerdict = { isAllowed: true; after: QuorumMargin } | { isAllowed: false; reason: string };

type Voter = Pick<EtcdClusterMember, 'id' | 'isLearner'>;

/** What `members` can still lose; `healthy`: IDs of those that are well, of learners too. */
export function quorumMargin(members: readonly Voter[], healthy: ReadonlySet<string>): QuorumMargin {
  const voters = members.filter(({ isLearner }) => !isLearner);
  const well = voters.filter(({ id }) => healthy.has(id)).length;
  const quorum = Math.floor(voters.length / 2) + 1;
  return { voters: voters.length, healthy: well, quorum, margin: well - quorum };
}

/**
 * Whether the member `id` can be removed (or demoted) such that the others still have a quorum among those that are
 * well. Removing one that is not well is allowed as long as the rest can decide on it.
 */
export function mayRemove(members: readonly Voter[], healthy: ReadonlySet<string>, id: string): RemovalVerdict {
  const before = quorumMargin(members, healthy);
  if (before.margin < 0) {
    const count = `${before.healthy} of ${before.voters} managers are reachable, and ${before.quorum} are needed`;
    return { isAllowed: false, reason: `the cluster has lost its quorum: ${count}` };
  }
  const rest = members.filter((member) => member.id !== id);
  const after = quorumMargin(rest, healthy);
  if (after.voters === 0) return { isAllowed: false, reason: 'it is the last manager' };
  if (after.margin < 0) {
    const count = `only ${after.healthy} of the ${after.voters} other managers are reachable, and ${after.quorum} are needed`;
    return { isAllowed: false, reason: `the cluster would lose its quorum: ${count}` };
  }
  return { isAllowed: true, after };
}
