import type { EtcdCallOptions } from '../client/connection.js';
import type { EtcdClient } from '../client/etcd-client.js';
import { changedAt, deleteOp, putOp } from '../client/keys.js';
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  type Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  type Member,
  type StatusResponse,
} from '../gen/etcd/rpc.js';
import type { EtcdAdmin, EtcdAlarm, EtcdClusterMember, EtcdLock, EtcdProbe, EtcdStatus } from './admin.js';
import { clientOf, type EtcdEndpoint } from './target.js';

const PROBE_KEY = '/swarmd/probe';
/** The caller's signal ends calls; this is only what gRPC wants besides. */
const LONGEST_CALL_MS = 3_600_000;

/** An {@link EtcdAdmin} of the member at `target`, such as an `EtcdMember`. */
export function createEtcdAdmin(target: EtcdEndpoint): EtcdAdmin {
  const { client, close } = clientOf(target);
  return adminOver(client, close);
}

/** An {@link EtcdAdmin} that calls through `client`, which stays the caller's to close. */
export function etcdAdminOver(client: EtcdClient): EtcdAdmin {
  return adminOver(
    () => client,
    () => {},
  );
}

function adminOver(client: () => EtcdClient, close: () => void): EtcdAdmin {
  return {
    status: async (signal) => statusOf(await client().status({}, until(signal))),
    ...memberCalls(client),
    ...spaceCalls(client),
    tryLock: (lock, signal) => tryLock(client, lock, signal),
    probe: (probe, signal) => sendProbe(client(), probe, signal),
    close,
  };
}

type MemberCalls = 'memberList' | 'memberAdd' | 'memberPromote' | 'memberRemove' | 'memberUpdate' | 'moveLeader';

function memberCalls(client: () => EtcdClient): Pick<EtcdAdmin, MemberCalls> {
  return {
    memberList: async (signal) => (await client().memberList({}, until(signal))).members.map(memberOf),
    memberAdd: async (peerUrl, isLearner, signal) => {
      const { member } = await client().memberAdd({ peerURLs: [peerUrl], isLearner }, until(signal));
      return memberOf(member!);
    },
    memberPromote: async (id, signal) => {
      await client().memberPromote({ ID: decimal(id) }, until(signal));
    },
    memberRemove: async (id, signal) => {
      await client().memberRemove({ ID: decimal(id) }, until(signal));
    },
    memberUpdate: async (id, peerUrl, signal) => {
      await client().memberUpdate({ ID: decimal(id), peerURLs: [peerUrl] }, until(signal));
    },
    moveLeader: async (targetId, signal) => {
      await client().moveLeader({ targetID: decimal(targetId) }, until(signal));
    },
  };
}

function spaceCalls(client: () => EtcdClient): Pick<EtcdAdmin, 'compact' | 'defragment' | 'alarms' | 'disarm'> {
  return {
    compact: async (revision, isPhysical, signal) => {
      await client().compact({ revision, physical: isPhysical }, until(signal));
    },
    defragment: async (signal) => {
      await client().defragment({}, until(signal));
    },
    alarms: async (signal) => {
      const { alarms } = await client().alarm({ action: AlarmAction.GET }, until(signal));
      return alarms.flatMap(({ memberID, alarm }): EtcdAlarm[] => {
        const kind = alarm === AlarmType.NOSPACE ? 'nospace' : alarm === AlarmType.CORRUPT ? 'corrupt' : undefined;
        return kind === undefined ? [] : [{ memberId: hex(memberID), kind }];
      });
    },
    disarm: async ({ memberId, kind }, signal) => {
      const alarm = kind === 'nospace' ? AlarmType.NOSPACE : AlarmType.CORRUPT;
      await client().alarm({ action: AlarmAction.DEACTIVATE, memberID: decimal(memberId), alarm }, until(signal));
    },
  };
}

async function tryLock(
  client: () => EtcdClient,
  { key, nowMs, ttlMs }: EtcdLock,
  signal: AbortSignal,
): ReturnType<EtcdAdmin['tryLock']> {
  const { kvs } = await client().range({ key: Buffer.from(key) }, until(signal));
  const held = kvs[0];
  if (held !== undefined && nowMs < Number(held.value.toString())) return undefined;
  const free = changedAt(key, held?.modRevision ?? 0);
  const take = putOp(key, Buffer.from(String(nowMs + ttlMs)));
  const { succeeded, header } = await client().txn({ compare: [free], success: [take] }, until(signal));
  if (!succeeded) return undefined;
  const mine = changedAt(key, header!.revision);
  return async (signal) => {
    await client().txn({ compare: [mine], success: [deleteOp(key)] }, until(signal));
  };
}

async function sendProbe(client: EtcdClient, { compares, valueBytes }: EtcdProbe, signal: AbortSignal): Promise<void> {
  const never: Compare = {
    key: Buffer.from(PROBE_KEY),
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.CREATE,
    targetUnion: { $case: 'createRevision', value: Number.MAX_SAFE_INTEGER },
  };
  const success = [putOp(PROBE_KEY, Buffer.alloc(valueBytes))];
  await client.txn({ compare: Array.from({ length: compares }, () => never), success }, until(signal));
}

function until(signal: AbortSignal): EtcdCallOptions {
  return { signal, timeoutMs: LONGEST_CALL_MS };
}

function memberOf({ ID, name, peerURLs, isLearner }: Member): EtcdClusterMember {
  return { id: hex(ID), name, peerUrls: peerURLs, isLearner };
}

function statusOf(status: StatusResponse): EtcdStatus {
  return {
    memberId: hex(status.header!.memberId),
    version: status.version,
    leaderId: status.leader === '0' ? undefined : hex(status.leader),
    isLearner: status.isLearner,
    raftTerm: status.raftTerm,
    raftIndex: status.raftIndex,
    raftAppliedIndex: status.raftAppliedIndex,
    revision: status.header!.revision,
    dbSizeBytes: status.dbSize,
    dbSizeInUseBytes: status.dbSizeInUse,
  };
}

const hex = (decimalId: string): string => BigInt(decimalId).toString(16);
const decimal = (hexId: string): string => BigInt(`0x${hexId}`).toString();
