import { createGrpcTransport, type LeaderLine, SIGN_PERIOD_MS } from '@swarmd/manager';
import { pause, VERSIONS } from '@swarmd/model';
import { parseUnlockKey } from '@swarmd/store';
import { DataKeys } from '../lock/data-keys.js';
import { nodeKeyWasClear } from '../lock/secret-files.js';
import type { NodePorts } from '../node-ports.js';
import type { JoinStoreOptions } from './ask-leader.js';
import type { EtcdHost } from './etcd-host.js';
import { askForVote, fetchKeys } from './join-store.js';
import { managerFiles, markStandby } from './manager-files.js';
import type { StandbyOrders } from './standby-members.js';

/** The leader is asked for the vote, and for what this host needs besides, this often. */
const PERIOD_MS = 1_000;
const STATUS_TIMEOUT_MS = 1_000;
/**
 * The most that etcd takes, whatever the disk has: a member whose space is used up stops the writes of all, and a standby
 * must not. One whose disk is full ends alone.
 */
export const STANDBY_QUOTA_BYTES = 8 * 1024 ** 3;

/** What {@link standBy} needs. */
export interface StandbyDependencies extends Omit<JoinStoreOptions, 'signal'> {
  ports: NodePorts;
  version: string;
  /** This host's etcd, running. */
  etcd: EtcdHost;
  /** Asks for a certificate with a new key. */
  renewCertificate(): void;
}

/** Why a standby does not serve, and who does: the managers at `addrs`. */
export function standbyProblem(addrs: readonly string[]): string {
  const where = addrs.length === 0 ? 'that has one' : `at ${addrs.join(', ')}`;
  return `this manager is a standby: it keeps a copy of the state and has no vote; ask the manager ${where}, or run swarmctl cluster recover here when that is lost`;
}

/**
 * Keeps this host fit to take over: its etcd holds a copy of the state by itself; keys and seals follow what the leader
 * says. Resolves once etcd has its vote; rejects with the signal's reason.
 */
export async function standBy(deps: StandbyDependencies, signal: AbortSignal): Promise<void> {
  const { config, vault, ports } = deps;
  const path = managerFiles(config.dataDir).dataKey;
  const dataKeys = await DataKeys.open({ path, vault, logger: ports.logger });
  const line = keepLine(deps);
  let asked = false;
  let problem = '';
  /** Whether this host has its vote. */
  const step = async (): Promise<boolean> => {
    if (await hasVote(deps.etcd)) return true;
    const orders = await askForVote({ ...deps, signal });
    if (orders === undefined) return true;
    await vault.rekey(orders.unlockKey === undefined ? undefined : parseUnlockKey(orders.unlockKey));
    const clear = await nodeKeyWasClear(config.dataDir);
    if (clear && !asked) deps.renewCertificate();
    asked = clear;
    await fetchKeys({ ...deps, signal }, dataKeys);
    await forgetKeys(deps.etcd, dataKeys, orders);
    problem = '';
    return false;
  };
  ports.logger.info('this manager is a standby: it keeps a copy of the state and has no vote');
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        if (await step()) break;
      } catch (error) {
        const { message } = error as Error;
        if (!signal.aborted && message !== problem) ports.logger.warn({ err: error }, 'the standby hears no leader');
        problem = message;
      }
      await pause(ports.clock, PERIOD_MS, signal);
    }
  } finally {
    line.end();
  }
  await markStandby(config.dataDir, false);
  ports.logger.info('this manager has a vote: it is a standby no more');
}

/** Without a quorum etcd serves nobody, and cannot have been given its vote. */
async function hasVote({ members, process }: EtcdHost): Promise<boolean> {
  if (process?.state !== 'ready') return false;
  const status = await members?.status(AbortSignal.timeout(STATUS_TIMEOUT_MS)).catch(() => undefined);
  return status?.isLearner === false;
}

/** Seals with the leader's key, and forgets what nothing in this host's copy is sealed with any more. */
async function forgetKeys({ members }: EtcdHost, dataKeys: DataKeys, orders: StandbyOrders): Promise<void> {
  if (!dataKeys.use(orders.dataKey) || dataKeys.ids.every((id) => orders.dataKeys.includes(id))) return;
  const status = await members?.status(AbortSignal.timeout(STATUS_TIMEOUT_MS));
  if (status !== undefined && status.revision >= orders.revision) await dataKeys.retain(orders.dataKeys);
}

/** A standing line to the leader, whichever manager it is: by it the others know that this one is there, and where. */
function keepLine({ identity, member, managers, version, ports }: StandbyDependencies): { end(): void } {
  const { clock } = ports;
  const transport = createGrpcTransport(identity);
  const addr = member.advertiseAddr;
  const { protocol, stateFormat } = VERSIONS;
  let line: LeaderLine | undefined;
  let next = 0;
  let cancel = (): void => {};
  const attach = (): void => {
    const others = managers().filter((other) => other !== addr);
    const to = others[next++ % others.length];
    if (to === undefined) return;
    const about = { swarmdVersion: version, protocol: protocol.max, clockMs: clock.now(), addr, stateFormat };
    const attached = transport.attach(to, about, {
      onSign: () => {},
      onEnd: () => {
        if (line === attached) line = undefined;
      },
    });
    line = attached;
  };
  const tick = (): void => {
    if (line === undefined) attach();
    else line.sign();
    cancel = clock.after(SIGN_PERIOD_MS, tick);
  };
  tick();
  return {
    end: () => {
      cancel();
      line?.end();
      transport.close();
    },
  };
}
