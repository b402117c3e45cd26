import { type EtcdClusterMember, removeMember } from '@swarmd/etcd';
import { type Loop, startLoop } from '@swarmd/manager';
import { isStandby, type ReadView } from '@swarmd/model';
import type { NodePorts } from '../node-ports.js';
import { memberOperation } from './member-operation.js';
import { standbyNoMore } from './standby-members.js';
import type { StoreHost } from './store-host.js';

/** Members are compared with the managers this often, and whenever a node changes. */
const PERIOD_MS = 2_000;
/** A learner that has not caught up by then has been given up by its host, */
const LEARNER_GRACE_MS = 10 * 60_000;
/** and one that has not even started by then will not: the others that want to come in wait for it. */
const UNSTARTED_GRACE_MS = 60_000;
const LIST_TIMEOUT_MS = 3_000;

/** What the keeper does with a member: keep it, remove it, or first hand leadership over, as it is this host's own. */
export type MemberVerdict = 'keep' | 'remove' | 'resign';

/**
 * A member belongs to a manager: when its node is a manager no more, or was removed, it goes. One that nobody has started
 * yet has no name. A standby stays a learner for good. `learnerMs`: for how long it has been seen as one.
 */
export function memberVerdict(
  view: ReadView,
  member: Pick<EtcdClusterMember, 'name' | 'isLearner'>,
  ownNodeId: string,
  learnerMs: number,
): MemberVerdict {
  const node = view.get('node', member.name);
  const graceMs = member.name === '' ? UNSTARTED_GRACE_MS : LEARNER_GRACE_MS;
  if (member.isLearner && learnerMs > graceMs && !(node && isStandby(node))) return 'remove';
  if (member.name === '' || node?.Spec.Role === 'manager') return 'keep';
  return member.name === ownNodeId ? 'resign' : 'remove';
}

/** Keeps the members of etcd as the managers are, while this manager leads. */
export function startMemberKeeper(host: StoreHost, nodeId: string, { clock, logger }: NodePorts): Loop {
  const log = logger.child({ component: 'member-keeper' });
  const { store } = host;
  const learnersSince = new Map<string, number>();

  const resign = (): void => void store.resign(AbortSignal.timeout(LIST_TIMEOUT_MS)).catch(() => {});

  const look = async (signal: AbortSignal): Promise<void> => {
    if (host.etcd === undefined) return;
    const admin = host.etcd.members;
    if (admin === undefined) {
      // Nobody takes this manager's vote: it goes by itself once it does not lead.
      if (memberVerdict(store.view, { name: nodeId, isLearner: false }, nodeId, 0) === 'resign') resign();
      return;
    }
    for (const member of await admin.memberList(AbortSignal.timeout(LIST_TIMEOUT_MS))) {
      if (!member.isLearner) learnersSince.delete(member.id);
      else if (!learnersSince.has(member.id)) learnersSince.set(member.id, clock.monotonic());
      const learnerMs = clock.monotonic() - (learnersSince.get(member.id) ?? clock.monotonic());
      const verdict = memberVerdict(store.view, member, nodeId, learnerMs);
      if (signal.aborted) return;
      // Cut off between the vote and the label, or promoted by a leader that knew of no standbys.
      if (!member.isLearner) await standbyNoMore(store, member.name, log);
      if (verdict === 'keep') continue;
      log.info({ member: member.name || member.id, verdict }, 'a member of etcd is no manager any more');
      if (verdict === 'remove') await removeMember(memberOperation(admin, clock), member.id);
      else resign();
    }
  };
  return startLoop<'members'>(
    {
      name: 'member-keeper',
      dirtiedBy: ({ table }, mark) => {
        if (table === 'node') mark('members');
      },
      allKeys: () => ['members'],
      pass: async (_keys, { signal, wakeAfter }) => {
        // Members that change are busy for seconds: that is no failure.
        await look(signal).catch((error: unknown) =>
          log.warn({ err: error }, 'the members of etcd were not looked at; will try again'),
        );
        wakeAfter('members', PERIOD_MS);
      },
    },
    { store, clock, logger },
  );
}
