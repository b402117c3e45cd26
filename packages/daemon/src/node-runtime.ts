import { join } from 'node:path';
import { createAgent } from '@swarmd/agent';
import { renewCertificate, startRenewal } from '@swarmd/manager';
import { asSwarmdError, type Control, isErrorCode, type SwarmdError } from '@swarmd/model';
import type { Vault } from '@swarmd/store';
import {
  type ClusterUpdate,
  clientArguments,
  createChannel,
  createIdentityHolder,
  DispatcherClient,
  type Identity,
  type IdentityHolder,
} from '@swarmd/wire';
import type { DaemonConfig } from './config.js';
import { createIdentityKeeper } from './identity-keeper.js';
import { keepIdentity } from './lock/secret-files.js';
import { loadDriver, removeManager } from './manager/manager-files.js';
import { createManagerSlot, type ManagerSlot } from './manager/manager-slot.js';
import { createRoleFollower } from './manager/role-follower.js';
import { type Member, saveMember } from './member-file.js';
import { startNetworkHealth } from './network-health.js';
import { networkAudits, nodeNetworks } from './network-process.js';
import type { NodePorts } from './node-ports.js';
import { dataPathAddress } from './own-address.js';

/** What a running node needs. */
export interface NodeOptions {
  config: DaemonConfig;
  ports: NodePorts;
  version: string;
  identity: Identity;
  /** What this node keeps its secrets in. */
  vault: Vault;
  member: Member;
  /** The cluster does not want this node any more. */
  onRejected(reason: SwarmdError): void;
  /** This manager's store can no longer write: only a new start can tell what is on the disk. */
  onStoreFailure(reason: SwarmdError): void;
}

/** A node of a cluster: its agent, and its manager if it is one. */
export interface NodeRuntime {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: Identity['role'];
  /** This node's manager, if it is one or is to become one. */
  readonly manager: ManagerSlot;
  readonly control: Control | undefined;
  /** Managers that this node knows, with their addresses. */
  managers(): { NodeID: string; Addr: string }[];
  connected(): boolean;
  readonly identity: IdentityHolder;
  /** Managers are there now, `host:port`. */
  findManagers(addrs: readonly string[]): Promise<void>;
  /** What of this host stands in the way of its networks, each a sentence. */
  readonly networkWarnings: readonly string[];
  /** Why managers cannot work with this node's version; empty when they do. */
  readonly problem: string;
  /** Stops and leaves containers running. */
  stop(): Promise<void>;
  /** Stops for good and removes the cluster's containers from this host. */
  leave(): Promise<void>;
}

/** Starts a node of a cluster: the manager first if it is one, then the agent, which finds its managers by itself. */
export async function startNode(options: NodeOptions): Promise<NodeRuntime> {
  const { config, ports, identity, vault, member } = options;
  const holder = createIdentityHolder(identity);
  let peers: { NodeID: string; Addr: string }[] = member.managers.map((Addr) => ({ NodeID: '', Addr }));
  const addresses = (): string[] => peers.map((peer) => peer.Addr);
  const keeper = createIdentityKeeper(holder, (changed) => keepIdentity(config.dataDir, vault, changed), ports.logger);
  const renewal = startRenewal({
    identity: holder,
    renew: (current, signal) => renewCertificate({ identity: current, remoteAddrs: addresses(), signal }),
    save: keeper.save,
    ...ports,
  });
  const manager = createManagerSlot({
    ...{ config, ports, version: options.version, identity: holder, member, managers: addresses },
    ...{ vault, renewCertificate: () => renewal.renewNow() },
    onReplaced: (managers) => {
      peers = [...managers];
      agent.reconnect();
    },
    // It is told anew what it is.
    onRemoved: () => agent.reconnect(),
    onStoreFailure: options.onStoreFailure,
  });
  const follower = createRoleFollower({
    ...{ manager, role: () => holder.current.role, onStoreFailure: options.onStoreFailure },
    hasState: async () => (await loadDriver(config.dataDir)) !== undefined,
    clear: async () => {
      await removeManager(config.dataDir);
      // A worker keeps nothing that the lock is for.
      if (vault.key !== undefined) await vault.rekey(undefined);
    },
    renewCertificate: () => renewal.renewNow(),
  });
  try {
    if (identity.role === 'manager') await manager.start();
  } catch (error) {
    await renewal.stop();
    throw error;
  }
  const onCluster = (update: ClusterUpdate): void => {
    if (update.managers.length > 0) {
      peers = update.managers.map(({ nodeId, addr }) => ({ NodeID: nodeId, Addr: addr }));
      saveMember(config.dataDir, { ...member, managers: addresses() }).catch((error: unknown) => {
        ports.logger.warn({ err: error }, 'the list of managers could not be kept');
      });
    }
    if (update.rootCertificatePem.length > 0) keeper.trust(Buffer.from(update.rootCertificatePem).toString('utf8'));
    follower.told(update);
  };
  const unfollow = holder.onChange(() => follower.renewed());
  let problem = '';
  const agent = createAgent({
    ...ports,
    engineSocket: config.engineSocket,
    stateDir: join(config.dataDir, 'agent'),
    runDir: join(config.runDir, 'payloads'),
    connect: (addr) => new DispatcherClient(...clientArguments(createChannel(addr, holder))),
    managers: addresses,
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    swarmdVersion: options.version,
    advertiseAddr: member.advertiseAddr.replace(/:\d+$/, ''),
    nodeNetworks: nodeNetworks(config),
    networkAudits: networkAudits(config),
    dataPathAddr: dataPathAddress(member),
    trustRoot: () => holder.current.rootPem,
    onCluster,
    onSessionEnd: (reason) => {
      if (isErrorCode(reason, 'permission-denied', 'unauthenticated')) options.onRejected(reason);
      if (isErrorCode(reason, 'incompatible')) problem = reason.message;
    },
    onWelcome: () => {
      problem = '';
    },
  });
  let certificate = identity.certificatePem;
  holder.onChange((changed) => {
    // A new session shows the cluster that this node has the new certificate, and can use it.
    if (changed.certificatePem !== certificate) agent.reconnect();
    else agent.trustChanged();
    certificate = changed.certificatePem;
  });
  try {
    await agent.start();
  } catch (error) {
    await renewal.stop();
    unfollow();
    await manager.stop();
    throw asSwarmdError(error);
  }
  const health = startNetworkHealth(networkAudits(config), {
    clock: ports.clock,
    logger: ports.logger.child({ component: 'network' }),
  });
  return {
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    get networkWarnings() {
      return health.warnings;
    },
    get role() {
      return holder.current.role;
    },
    manager,
    get control() {
      return manager.control;
    },
    managers: () => peers,
    identity: holder,
    findManagers: async (addrs) => {
      peers = addrs.map((Addr) => ({ NodeID: '', Addr }));
      await saveMember(config.dataDir, { ...member, managers: [...addrs] });
      agent.reconnect();
    },
    connected: () => agent.connected(),
    get problem() {
      return problem;
    },
    stop: async () => {
      await health.stop();
      await renewal.stop();
      unfollow();
      await agent.stop();
      await keeper.settled();
      await manager.stop();
    },
    leave: async () => {
      await health.stop();
      await renewal.stop();
      unfollow();
      await keeper.settled();
      try {
        await agent.leave();
      } finally {
        await manager.stop();
      }
    },
  };
}
