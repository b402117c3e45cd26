import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connectEngine, describeNode, engineInfo } from '@swarmd/agent';
import { bootstrapCluster, requestCertificate } from '@swarmd/manager';
import {
  type Control,
  type InitRequest,
  type LocalNodeInfo,
  type Membership,
  type NodeDescription,
  type RecoveryReport,
  type RecoveryRequest,
  SwarmdError,
} from '@swarmd/model';
import type { UnlockKey, Vault } from '@swarmd/store';
import { type Identity, removeIdentity } from '@swarmd/wire';
import { formatAddress, parseAddress } from './addresses.js';
import { cleanUp } from './cleanup.js';
import type { DaemonConfig } from './config.js';
import {
  type LockedNode,
  lockedLeaves,
  lockedSpec,
  newUnlockKey,
  openWithKey,
  readLocked,
} from './lock/locked-node.js';
import { identityDir, keepIdentity, keptIdentity, openVault } from './lock/secret-files.js';
import { becomeManager, leaveManagers } from './manager/change-of-role.js';
import { eraseExternal } from './manager/external-etcd.js';
import { managerDir, removeManager } from './manager/manager-files.js';
import { missingEtcd } from './manager/missing-etcd.js';
import { recoverStore } from './manager/recover-store.js';
import { openEmbedded } from './manager/store-host.js';
import { type Member, removeMember, saveMember } from './member-file.js';
import type { NodePorts } from './node-ports.js';
import { type NodeRuntime, startNode } from './node-runtime.js';
import { loadPresentMember, resolveAddresses } from './own-address.js';
import { planRecovery, tellReplaced } from './recovery.js';
import { checkInit, checkJoin } from './requests.js';
import { readForRestore, restoredUnlockKey, writeRestored } from './restore.js';

/** How long a join may look for a manager. */
const JOIN_TIMEOUT_MS = 30_000;
/** How long a recovery waits for the manager, whose store is open by then. */
const SERVING_TIMEOUT_MS = 60_000;

/** The membership of this node, with the daemon's own hold on it. */
export interface DaemonMembership extends Membership {
  /** Takes up where the last run stopped: starts manager and agent of a node that is in a cluster. */
  resume(): Promise<void>;
  /** Has another manager lead, before a stop; everything goes on being served. */
  handOver(): Promise<void>;
  /** Stops manager and agent; containers go on. */
  stop(): Promise<void>;
}

/** What the membership needs. */
export interface MembershipDependencies {
  config: DaemonConfig;
  ports: NodePorts;
  version: string;
  /** This manager's store can no longer write: swarmd is to end and to be started again. */
  onStoreFailure(reason: SwarmdError): void;
}

/** This node's membership: in no cluster until `resume`, `init` or `join`. One change at a time. */
export function createMembership(deps: MembershipDependencies): DaemonMembership {
  const { config, ports } = deps;
  let node: NodeRuntime | undefined;
  let member: Member | undefined;
  let vault: Vault | undefined;
  let locked: LockedNode | undefined;
  let failure = '';
  let changing = false;

  const exclusively = async <R>(change: () => Promise<R>): Promise<R> => {
    if (changing) throw new SwarmdError('unavailable', 'another change of this node’s membership is under way');
    changing = true;
    try {
      return await change();
    } finally {
      changing = false;
    }
  };
  const run = async (identity: Identity, addresses: Member, secrets: Vault): Promise<void> => {
    const onRejected = (reason: SwarmdError): void => {
      // The agent asks again and again, in case it was a mistake: once is enough to say so.
      if (failure === '')
        ports.logger.error({ reason: reason.message }, 'the cluster refuses this node: leave, and join again');
      failure = reason.message;
    };
    node = await startNode({ ...deps, identity, vault: secrets, member: addresses, onRejected });
    member = addresses;
    vault = secrets;
    locked = undefined;
    failure = '';
  };
  const forget = async (): Promise<void> => {
    await removeIdentity(identityDir(config.dataDir));
    await removeManager(config.dataDir);
    await rm(join(config.dataDir, 'agent'), { recursive: true, force: true });
    await removeMember(config.dataDir);
    node = undefined;
    member = undefined;
    locked = undefined;
    failure = '';
  };
  /**
   * Becomes a member with the identity that `obtain` gets, secrets sealed with `key` from the start; what fails, or is cut
   * off by a crash, leaves nothing. `founds`: there is no cluster without this node.
   */
  const enter = async (
    addresses: Member,
    obtain: (vault: Vault) => Promise<Identity>,
    { key, founds = false }: { key?: UnlockKey | undefined; founds?: boolean } = {},
  ): Promise<Identity> => {
    let identity: Identity | undefined;
    try {
      await saveMember(config.dataDir, { ...addresses, unfinished: 'joining' });
      const secrets = await openVault(config.dataDir, key);
      identity = await obtain(secrets);
      await keepIdentity(config.dataDir, secrets, identity);
      await run(identity, addresses, secrets);
      await saveMember(config.dataDir, addresses);
      return identity;
    } catch (error) {
      await node?.stop();
      if (founds && identity !== undefined) await eraseExternal(config, ports, identity.clusterId);
      await forget();
      throw error;
    }
  };
  /** Stops this node, makes its store the only one, and starts it again at `addresses`; what fails starts it as it was. */
  const rebuild = async (running: NodeRuntime, addresses: Member): Promise<NodeRuntime> => {
    const { nodeId, identity } = running;
    const [before, secrets] = [member!, vault!];
    const again = async (at: Member): Promise<void> =>
      run((await keptIdentity(config.dataDir, secrets)) ?? identity.current, at, secrets);
    await running.stop();
    try {
      const ends = (reason: unknown): void => ports.logger.error({ reason }, 'the store ended while it was recovered');
      const names = { nodeId, clusterId: identity.current.clusterId, member: addresses };
      await recoverStore({ config, ports, ...names, vault: secrets, onFailure: ends, onGone: ends });
      await saveMember(config.dataDir, addresses);
    } catch (error) {
      await again(before);
      throw error;
    }
    await again(addresses);
    await node!.manager.serving(AbortSignal.timeout(SERVING_TIMEOUT_MS));
    return node!;
  };
  const recover = async (request: RecoveryRequest): Promise<RecoveryReport> => {
    if (locked !== undefined) throw new SwarmdError('unavailable', locked.info.Error);
    if (node === undefined || member === undefined) throw new SwarmdError('unavailable', NOT_IN);
    if (!node.manager.taken) throw new SwarmdError('unavailable', NO_MANAGER);
    if (config.store !== undefined) throw new SwarmdError('failed-precondition', NOT_OURS);
    const present = { ...config, listenAddr: member.listenAddr, advertiseAddr: member.advertiseAddr };
    const addresses = resolveAddresses(present, request);
    const report = planRecovery(await node.manager.questions.survey(), addresses.advertiseAddr, request);
    if (request.DryRun) return report;
    if (report.Refusal !== '') throw new SwarmdError('failed-precondition', report.Refusal);
    const { nodeId, identity } = await rebuild(node, addresses);
    const others = report.Managers.filter(({ Self, Answers }) => Answers && !Self).map(({ Addr }) => Addr);
    await tellReplaced(identity, others, [{ NodeID: nodeId, Addr: addresses.advertiseAddr }], ports);
    return report;
  };
  return {
    resume: () =>
      exclusively(async () => {
        const kept = await loadPresentMember(deps);
        if (kept?.unfinished !== undefined) {
          ports.logger.warn({ unfinished: kept.unfinished }, 'clearing away a change of membership that was cut off');
          return forget();
        }
        locked = kept && (await readLocked(config.dataDir, kept));
        if (locked !== undefined) {
          ports.logger.warn({ nodeId: locked.nodeId }, 'locked: nothing of the cluster starts before it is unlocked');
          return;
        }
        const secrets = await openVault(config.dataDir);
        const identity = await keptIdentity(config.dataDir, secrets);
        if (kept !== undefined && identity !== undefined) await run(identity, kept, secrets);
        else refuseRemains(config.dataDir, kept, identity);
      }),
    handOver: async () => node?.manager.handOver(),
    stop: async () => node?.stop(),
    init: (body) =>
      exclusively(async () => {
        const request = checkInit(body);
        if (request.ForceNewCluster && (node !== undefined || locked !== undefined)) {
          const { ListenAddr = '', AdvertiseAddr = '' } = request;
          return (await recover({ ListenAddr, AdvertiseAddr, AllowOlder: true, Force: true })).NodeID;
        }
        if (node !== undefined || locked !== undefined) throw new SwarmdError('unavailable', ALREADY_IN);
        const addresses = resolveAddresses(config, request);
        const key = newUnlockKey(request);
        const make = (secrets: Vault) => makeCluster(deps, request, addresses, secrets);
        return (await enter(addresses, make, { key, founds: true })).nodeId;
      }),
    join: (body) =>
      exclusively(async () => {
        const request = checkJoin(body);
        if (node !== undefined || locked !== undefined) throw new SwarmdError('unavailable', ALREADY_IN);
        const addresses = { ...resolveAddresses(config, request), managers: [...request.RemoteAddrs] };
        await enter(addresses, async () =>
          requestCertificate({
            remoteAddrs: request.RemoteAddrs,
            token: request.JoinToken,
            advertiseAddr: addresses.advertiseAddr.replace(/:\d+$/, ''),
            ...(request.Availability ? { availability: request.Availability } : {}),
            description: await describeHost(config),
            noManagerReason: (await missingEtcd(config))?.message ?? '',
            externalStore: config.store !== undefined,
            signal: AbortSignal.timeout(JOIN_TIMEOUT_MS),
          }),
        );
        const joined = node as NodeRuntime | undefined;
        if (joined?.manager.taken) await becomeManager(joined);
      }),
    restore: (request, file) =>
      exclusively(async () => {
        if (node !== undefined || locked !== undefined) throw new SwarmdError('unavailable', ALREADY_IN);
        const addresses = resolveAddresses(config, request);
        const description = await describeHost(config);
        const host = { advertiseAddr: addresses.advertiseAddr, description };
        const restored = await readForRestore(request, file, host, ports);
        if (request.DryRun) return restored.report;
        const write = async (secrets: Vault): Promise<Identity> => {
          await writeRestored(config.dataDir, ports, restored, secrets);
          return restored.identity;
        };
        await enter(addresses, write, { key: restoredUnlockKey(restored), founds: true });
        return restored.report;
      }),
    leave: (force) =>
      exclusively(async () => {
        if (locked !== undefined) {
          await lockedLeaves(deps, locked, force);
          await saveMember(config.dataDir, { ...locked.member, unfinished: 'leaving' });
          return forget();
        }
        if (node === undefined || member === undefined) throw new SwarmdError('unavailable', NOT_IN);
        const wasLast = node.manager.taken && (await leaveManagers(node, force));
        const { clusterId } = node;
        try {
          await node.leave();
        } catch (error) {
          if (!force) {
            await run((await keptIdentity(config.dataDir, vault!))!, member, vault!);
            throw error;
          }
          ports.logger.warn({ err: error }, 'left by force: containers of the cluster may remain on this engine');
        }
        await saveMember(config.dataDir, { ...member, unfinished: 'leaving' });
        if (wasLast) await eraseExternal(config, ports, clusterId);
        await forget();
      }),
    unlock: (text) =>
      exclusively(async () => {
        if (locked === undefined) throw new SwarmdError('aborted', 'swarm is not locked');
        const secrets = await openWithKey(config.dataDir, text);
        const identity = await keptIdentity(config.dataDir, secrets);
        if (identity === undefined) return refuseRemains(config.dataDir, locked.member, identity);
        await run(identity, locked.member, secrets);
        ports.logger.info('unlocked');
      }),
    recover: (request) => exclusively(() => recover(request)),
    check: async () => {
      if (locked !== undefined) throw new SwarmdError('unavailable', locked.info.Error);
      if (node === undefined) throw new SwarmdError('unavailable', NOT_IN);
      if (!node.manager.taken) throw new SwarmdError('unavailable', NO_MANAGER);
      return node.manager.questions.check();
    },
    cleanup: (options) => exclusively(() => cleanUp(config, options, node !== undefined || locked !== undefined)),
    findManagers: async (addrs) => {
      if (node === undefined) throw new SwarmdError('unavailable', NOT_IN);
      await node.findManagers(addrs.map((addr) => formatAddress(parseAddress(addr, 'address'))));
    },
    info: () => locked?.info ?? describeMembership(node, member, failure),
    control: (): Control | undefined => node?.control,
    fresh: async (signal) => node?.manager.fresh(signal),
  };
}

const ALREADY_IN = 'this node is in a cluster already';
const NOT_IN = 'This node is not part of a swarm';
const NOT_OURS =
  'the state is in an etcd that others run: they recover it; another address is taken up when swarmd starts';
const NO_MANAGER = 'This node is not participating as a Swarm manager';

/** Throws `damaged` when part of a membership is there and part is missing: what is left may be a whole cluster's state. */
function refuseRemains(dataDir: string, kept: Member | undefined, identity: Identity | undefined): void {
  const store = existsSync(managerDir(dataDir));
  if (kept === undefined && identity === undefined && !store) return;
  const missing = kept === undefined ? 'member.json' : join('certificates', 'node.pem');
  const advice = 'restore it from a backup, or remove the data directory and start anew';
  throw new SwarmdError(
    'damaged',
    `${join(dataDir, missing)} is missing, the rest of a membership is there: ${advice}`,
  );
}

async function makeCluster(
  { config, ports }: MembershipDependencies,
  request: InitRequest,
  addresses: Member,
  vault: Vault,
): Promise<Identity> {
  const description = await describeHost(config);
  const { store } = await openEmbedded(config.dataDir, ports, { vault });
  try {
    return await bootstrapCluster(store, {
      ...ports,
      advertiseAddr: addresses.advertiseAddr,
      description,
      ...lockedSpec(request.Spec, vault.key),
      ...(request.Availability ? { availability: request.Availability } : {}),
      ...(request.DefaultAddrPool ? { defaultAddrPool: request.DefaultAddrPool } : {}),
      ...(request.SubnetSize ? { subnetSize: request.SubnetSize } : {}),
      ...(request.DataPathPort ? { dataPathPort: request.DataPathPort } : {}),
    });
  } finally {
    await store.close();
  }
}

/** The host as its engine describes it: joining needs an engine that answers. */
async function describeHost(config: DaemonConfig): Promise<NodeDescription> {
  try {
    return describeNode(await engineInfo(await connectEngine(config.engineSocket)));
  } catch (error) {
    throw new SwarmdError(
      'unavailable',
      `no Docker engine answers on ${config.engineSocket}: start it, or name another socket with --engine`,
      { cause: error },
    );
  }
}

/** `pending`: a manager that does not serve yet. */
function localState({ manager, control }: NodeRuntime, failure: string): LocalNodeInfo['LocalNodeState'] {
  if (failure !== '') return 'error';
  return manager.taken && control === undefined ? 'pending' : 'active';
}

function describeMembership(node: NodeRuntime | undefined, member: Member | undefined, failure: string): LocalNodeInfo {
  if (node === undefined || member === undefined) {
    const nothing = { NodeID: '', NodeAddr: '', ControlAvailable: false, Error: failure, RemoteManagers: null };
    return { ...nothing, LocalNodeState: 'inactive' };
  }
  const remote = node.managers();
  const warnings = [...node.manager.questions.warnings, ...node.networkWarnings];
  return {
    NodeID: node.nodeId,
    NodeAddr: member.advertiseAddr.replace(/:\d+$/, ''),
    LocalNodeState: localState(node, failure),
    ControlAvailable: node.control !== undefined,
    Error: failure || node.problem || node.manager.problem,
    ...(node.manager.isStandby ? { Standby: true } : {}),
    RemoteManagers: remote.length > 0 ? remote : null,
    ...(warnings.length > 0 ? { Warnings: warnings } : {}),
  };
}
