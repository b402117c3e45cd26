import { setTimeout as delay } from 'node:timers/promises';
import { callApi } from './api-call.js';
import { FAULT_KINDS, type PlannedFault } from './schedule.js';
import type { Place } from './world.js';

const ASK_TIMEOUT_MS = 1_000;
const FREE_POLL_MS = 50;

/** Who plays which part in a schedule: hosts change parts so that faults meant for the leader hit it. */
export interface Casting {
  /**
   * The fault with the host that it is to hit, which is busy until `free`. Waits until that has no other fault and one
   * more manager may be hurt: on a busy machine earlier faults are taken back later than planned. One at the leader makes
   * it and the planned host change parts for good, unless the leader is busy or nobody knows it.
   */
  cast(fault: PlannedFault): Promise<PlannedFault>;
  free(fault: PlannedFault): void;
}

/** Everybody plays the part of their own name at first. */
export function createCasting(managers: readonly Place[], maxHurtManagers: number): Casting {
  const parts = new Map<string, string>();
  const busy = new Map<string, PlannedFault>();
  const isManager = new Set(managers.map(({ host }) => host.name));
  const hostOf = (part: string): string => parts.get(part) ?? part;
  const swap = (part: string, host: string): void => {
    const own = hostOf(part);
    const other = [...parts].find(([, name]) => name === host)?.[0] ?? host;
    parts.set(part, host);
    parts.set(other, own);
  };
  const mayBegin = ({ host, kind }: PlannedFault): boolean => {
    if (busy.has(hostOf(host))) return false;
    const hurt = [...busy].filter(([name, other]) => isManager.has(name) && FAULT_KINDS[other.kind].hurts);
    return !isManager.has(hostOf(host)) || !FAULT_KINDS[kind].hurts || hurt.length < maxHurtManagers;
  };
  return {
    cast: async (fault) => {
      const leader = fault.atLeader ? await leaderAmong(managers) : undefined;
      while (!mayBegin(fault)) await delay(FREE_POLL_MS);
      const isFree = leader !== undefined && !busy.has(leader);
      if (isFree && leader !== hostOf(fault.host)) swap(fault.host, leader);
      const host = hostOf(fault.host);
      const cast = { ...fault, host, atLeader: host === leader, peers: fault.peers.map(hostOf) };
      busy.set(host, cast);
      return cast;
    },
    free: ({ host }) => void busy.delete(host),
  };
}

/** The host that leads, by what the first manager says that knows; undefined when none does. */
async function leaderAmong(managers: readonly Place[]): Promise<string | undefined> {
  const asked = managers.map(async ({ socket }) => {
    const call = {
      socketPath: socket,
      method: 'GET',
      path: '/nodes',
      timeoutMs: ASK_TIMEOUT_MS,
      strict: true,
    } as const;
    const reply = await callApi(call);
    if (reply.kind !== 'answer' || reply.status !== 200) throw new Error('no answer');
    type Node = { Description?: { Hostname?: string }; ManagerStatus?: { Leader?: boolean } };
    const leader = (JSON.parse(reply.body) as Node[]).find(({ ManagerStatus }) => ManagerStatus?.Leader === true);
    if (leader?.Description?.Hostname === undefined) throw new Error('no leader');
    return leader.Description.Hostname;
  });
  return Promise.any(asked).catch(() => undefined);
}
