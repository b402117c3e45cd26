import { isErrorCode } from '@swarmd/model';
import type { EtcdAdmin, EtcdAlarm, EtcdClusterMember, EtcdProbe, EtcdStatus } from './admin.js';
import { type EtcdEndpoint, type JsonCall, jsonCaller } from './json-call.js';

// protobuf's JSON form: 64-bit numbers are decimal strings, bytes are base64, what is zero is left out.
interface MemberJson {
  ID?: string;
  name?: string;
  peerURLs?: string[];
  isLearner?: boolean;
}

interface StatusJson {
  header: { member_id: string; revision?: string };
  version: string;
  leader?: string;
  isLearner?: boolean;
  raftTerm?: string;
  raftIndex?: string;
  raftAppliedIndex?: string;
  dbSize?: string;
  dbSizeInUse?: string;
}

/** A revision that no key was made at. */
const NEVER = '9223372036854775807';
const PROBE_KEY = base64('/swarmd/probe');

/**
 * An {@link EtcdAdmin} over the JSON form in which etcd serves its whole API on its client port (etcd: gRPC gateway). Few
 * and small calls: what is frequent or large goes over gRPC.
 */
export function createEtcdAdmin(target: EtcdEndpoint): EtcdAdmin {
  const call = jsonCaller(target);
  return {
    status: async (signal) => statusOf(await call<StatusJson>('/v3/maintenance/status', {}, signal)),
    ...memberCalls(call),
    ...spaceCalls(call),
    tryLock: (key, ttlSeconds, signal) => tryLock(call, key, ttlSeconds, signal),
    probe: (probe, signal) => sendProbe(call, probe, signal),
  };
}

type MemberCalls = 'memberList' | 'memberAdd' | 'memberPromote' | 'memberRemove' | 'memberUpdate' | 'moveLeader';

function memberCalls(call: JsonCall): Pick<EtcdAdmin, MemberCalls> {
  return {
    memberList: async (signal) => {
      const { members = [] } = await call<{ members?: MemberJson[] }>('/v3/cluster/member/list', {}, signal);
      return members.map(memberOf);
    },
    memberAdd: async (peerUrl, isLearner, signal) => {
      const body = { peerURLs: [peerUrl], isLearner };
      return memberOf((await call<{ member: MemberJson }>('/v3/cluster/member/add', body, signal)).member);
    },
    memberPromote: async (id, signal) => {
      await call('/v3/cluster/member/promote', { ID: decimal(id) }, signal);
    },
    memberRemove: async (id, signal) => {
      await call('/v3/cluster/member/remove', { ID: decimal(id) }, signal);
    },
    memberUpdate: async (id, peerUrl, signal) => {
      await call('/v3/cluster/member/update', { ID: decimal(id), peerURLs: [peerUrl] }, signal);
    },
    moveLeader: async (targetId, signal) => {
      await call('/v3/maintenance/transfer-leadership', { targetID: decimal(targetId) }, signal);
    },
  };
}

function spaceCalls(call: JsonCall): Pick<EtcdAdmin, 'compact' | 'defragment' | 'alarms' | 'disarm'> {
  const alarm = '/v3/maintenance/alarm';
  return {
    compact: async (revision, isPhysical, signal) => {
      await call('/v3/kv/compaction', { revision: String(revision), physical: isPhysical }, signal);
    },
    defragment: async (signal) => {
      await call('/v3/maintenance/defragment', {}, signal);
    },
    alarms: async (signal) => {
      type Alarms = { alarms?: { memberID?: string; alarm?: string }[] };
      const { alarms = [] } = await call<Alarms>(alarm, { action: 'GET' }, signal);
      return alarms.flatMap(({ memberID = '0', alarm }): EtcdAlarm[] => {
        const kind = alarm === 'NOSPACE' ? 'nospace' : alarm === 'CORRUPT' ? 'corrupt' : undefined;
        return kind === undefined ? [] : [{ memberId: hex(memberID), kind }];
      });
    },
    disarm: async ({ memberId, kind }, signal) => {
      await call(alarm, { action: 'DEACTIVATE', memberID: decimal(memberId), alarm: kind.toUpperCase() }, signal);
    },
  };
}

async function tryLock(
  call: JsonCall,
  key: string,
  ttlSeconds: number,
  signal: AbortSignal,
): ReturnType<EtcdAdmin['tryLock']> {
  const { ID } = await call<{ ID: string }>('/v3/lease/grant', { TTL: String(ttlSeconds) }, signal);
  const release = async (signal: AbortSignal): Promise<void> => {
    await call('/v3/lease/revoke', { ID }, signal).catch((thrown) => {
      if (!isErrorCode(thrown, 'not-found')) throw thrown;
    });
  };
  const compare = [{ key: base64(key), target: 'CREATE', result: 'EQUAL', create_revision: '0' }];
  const success = [{ requestPut: { key: base64(key), value: base64('held'), lease: ID } }];
  const { succeeded } = await call<{ succeeded?: boolean }>('/v3/kv/txn', { compare, success }, signal);
  if (succeeded === true) return release;
  await release(signal);
  return undefined;
}

async function sendProbe(call: JsonCall, { compares, valueBytes }: EtcdProbe, signal: AbortSignal): Promise<void> {
  const compare = { key: PROBE_KEY, target: 'CREATE', result: 'EQUAL', create_revision: NEVER };
  const value = Buffer.alloc(valueBytes).toString('base64');
  const success = [{ requestPut: { key: PROBE_KEY, value } }];
  await call('/v3/kv/txn', { compare: Array.from({ length: compares }, () => compare), success }, signal);
}

function memberOf({ ID = '0', name = '', peerURLs = [], isLearner = false }: MemberJson): EtcdClusterMember {
  return { id: hex(ID), name, peerUrls: peerURLs, isLearner };
}

function statusOf(status: StatusJson): EtcdStatus {
  const leader = status.leader ?? '0';
  return {
    memberId: hex(status.header.member_id),
    version: status.version,
    leaderId: leader === '0' ? undefined : hex(leader),
    isLearner: status.isLearner ?? false,
    raftTerm: BigInt(status.raftTerm ?? 0),
    raftIndex: BigInt(status.raftIndex ?? 0),
    raftAppliedIndex: BigInt(status.raftAppliedIndex ?? 0),
    revision: BigInt(status.header.revision ?? 0),
    dbSizeBytes: Number(status.dbSize ?? 0),
    dbSizeInUseBytes: Number(status.dbSizeInUse ?? 0),
  };
}

const hex = (decimalId: string): string => BigInt(decimalId).toString(16);
const decimal = (hexId: string): string => BigInt(`0x${hexId}`).toString();

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
