import { type Clock, isErrorCode, pause, SwarmdError } from '@swarmd/model';
import type { EtcdAdmin, EtcdClusterMember } from '../admin/admin.js';
import { type EtcdErrorKind, etcdErrorKind } from '../admin/errors.js';

/** With what, and for how long, an operation on members is tried. */
export interface MemberOperation {
  admin: EtcdAdmin;
  clock: Clock;
  /** Ends it: with the signal's reason. */
  signal: AbortSignal;
  /** How long refusals that pass by themselves are tried again, in milliseconds; then the last one is thrown. */
  patienceMs: number;
}

const RETRY_MS = 200;
/** One attempt may take this long. */
const ATTEMPT_MS = 7_000;
/** Members that have just started are not yet counted as well; a change of members waits for them. */
const SETTLING: readonly EtcdErrorKind[] = ['unhealthy', 'not-enough-started'];

/**
 * Adds a member at `peerUrl` that has no vote yet, and returns it. Waits while the cluster settles and while another
 * learner is there, of which etcd has one at a time. One that was added before and has not started yet is returned as
 * it is: trying again after an unknown outcome is harmless. `already-exists` when a started member has the URL.
 */
export function addLearner(operation: MemberOperation, peerUrl: string): Promise<EtcdClusterMember> {
  const retried = [...SETTLING, 'too-many-learners', 'member-exists'] as const;
  return patiently(operation, retried, async (signal) => {
    const there = (await operation.admin.memberList(signal)).find((member) => member.peerUrls.includes(peerUrl));
    if (there === undefined) return await operation.admin.memberAdd(peerUrl, true, signal);
    if (there.name === '' && there.isLearner) return there;
    throw new SwarmdError('already-exists', `an etcd member at ${peerUrl} is in the cluster already: ${there.name}`);
  });
}

/**
 * Gives the learner `id` its vote as soon as it has caught up. Nothing to do when it has one. `not-found` when it is not
 * in the cluster.
 */
export function promoteLearner(operation: MemberOperation, id: string): Promise<void> {
  return patiently(operation, [...SETTLING, 'learner-not-ready'], async (signal) => {
    const there = (await operation.admin.memberList(signal)).find((member) => member.id === id);
    if (there === undefined) throw new SwarmdError('not-found', `etcd member ${id} is not in the cluster`);
    if (there.isLearner) await operation.admin.memberPromote(id, signal);
  });
}

/**
 * Removes the member `id`. Nothing to do when it is not there. etcd itself refuses what would lose the quorum; see
 * `mayRemove` for the reason beforehand.
 */
export function removeMember(operation: MemberOperation, id: string): Promise<void> {
  return patiently(operation, SETTLING, async (signal) => {
    try {
      await operation.admin.memberRemove(id, signal);
    } catch (thrown) {
      if (etcdErrorKind(thrown) !== 'member-not-found') throw thrown;
    }
  });
}

/** Tells the cluster that the member `id` is now at `peerUrl`. The member needs a certificate for the new address. */
export function updatePeerUrl(operation: MemberOperation, id: string, peerUrl: string): Promise<void> {
  return patiently(operation, SETTLING, (signal) => operation.admin.memberUpdate(id, peerUrl, signal));
}

/**
 * Makes the member `targetId` the leader of Raft. `admin` must be of the leader's own client port: `not-leader`
 * otherwise.
 */
export async function moveLeader(
  { admin, signal }: Pick<MemberOperation, 'admin' | 'signal'>,
  targetId: string,
): Promise<void> {
  try {
    await admin.moveLeader(targetId, AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]));
  } catch (thrown) {
    if (etcdErrorKind(thrown) !== 'not-leader') throw thrown;
    throw new SwarmdError('not-leader', 'this host’s etcd member does not lead', { cause: thrown });
  }
}

async function patiently<T>(
  { clock, signal, patienceMs }: MemberOperation,
  retried: readonly EtcdErrorKind[],
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = clock.monotonic() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt(AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]));
    } catch (thrown) {
      signal.throwIfAborted();
      const kind = etcdErrorKind(thrown);
      const passes = kind === undefined ? isErrorCode(thrown, 'unavailable', 'aborted') : retried.includes(kind);
      if (!passes || clock.monotonic() >= deadline) throw thrown;
    }
    await pause(clock, RETRY_MS, signal);
  }
}
