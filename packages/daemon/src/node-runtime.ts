import { join } from 'node:path';
import { createAgent } from '@swarmd/agent';
import { type Loop, renewCertificate, startRenewal } from '@swarmd/manager';
import { asSwarmdError, type Control, isErrorCode, type SwarmdError } from '@swarmd/model';
import type { Vault } from '@swarmd/store';
import {
  type ClusterUpdate,
  clientArguments,
  createChannel,
  createIdentityHolder,
  DispatcherClient,
  type Identity,
} from '@swarmd/wire';
import type { DaemonConfig } from './config.js';
import { DataKeys } from './lock/data-keys.js';
import { startLockLoop } from './lock/lock-loop.js';
import { dataKeyFile, keepIdentity, nodeKeyWasClear } from './lock/secret-files.js';
import type { ManagerRuntime, NodePorts } from './manager-runtime.js';
import { openClusterStore, startManager } from './manager-runtime.js';
import { type Member, saveMember } from './member-file.js';

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
  readonly role: Identity['role'];
  readonly control: Control | undefined;
  /** Managers that this node knows, with their addresses. */
  managers(): { NodeID: string; Addr: string }[];
  connected(): boolean;
  /** Stops and leaves containers running. */
  stop(): Promise<void>;
  /** Stops for good and removes the cluster's containers from this host. */
  leave(): Promise<void>;
}

/** Starts a node of a cluster: the manager first if it is one, then the agent, which finds its managers by itself. */
export async function startNode(options: NodeOptions): Promise<NodeRuntime> {
  const { config, ports, identity, vault, member } = options;
  const holder = createIdentityHolder(identity);
  let manager: ManagerRuntime | undefined;
  let lock: Loop | undefined;
  const dataKeys = new DataKeys({ path: dataKeyFile(config.dataDir), vault, logger: ports.logger });
  let startLock = (_renewCertificate: () => void): void => {};
  if (identity.role === 'manager') {
    const onFailure = options.onStoreFailure;
    const store = await openClusterStore(config.dataDir, ports, { mustExist: true, onFailure, dataKeys });
    manager = await startManager(store, holder, member, ports);
    startLock = (renewCertificate) => {
      const wasClear = () => nodeKeyWasClear(config.dataDir);
      lock = startLockLoop({ store, vault, dataKeys, nodeKeyWasClear: wasClear, renewCertificate, ...ports });
    };
  }
  let peers: { NodeID: string; Addr: string }[] = member.managers.map((Addr) => ({ NodeID: '', Addr }));
  const addresses = (): string[] => peers.map((peer) => peer.Addr);
  const renewal = startRenewal({
    identity: holder,
    renew: (current, signal) => renewCertificate({ identity: current, remoteAddrs: addresses(), signal }),
    save: (renewed) => keepIdentity(config.dataDir, vault, renewed),
    ...ports,
  });
  const onCluster = (update: ClusterUpdate): void => {
    if (update.managers.length > 0) {
      peers = update.managers.map(({ nodeId, addr }) => ({ NodeID: nodeId, Addr: addr }));
      saveMember(config.dataDir, { ...member, managers: addresses() }).catch((error: unknown) => {
        ports.logger.warn({ err: error }, 'the list of managers could not be kept');
      });
    }
    if (update.renewCertificate) renewal.renewNow();
  };
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
    onCluster,
    onSessionEnd: (reason) => {
      if (isErrorCode(reason, 'permission-denied', 'unauthenticated')) options.onRejected(reason);
    },
  });
  try {
    await agent.start();
  } catch (error) {
    await renewal.stop();
    await manager?.stop();
    throw asSwarmdError(error);
  }
  startLock(() => renewal.renewNow());
  return {
    nodeId: identity.nodeId,
    role: identity.role,
    control: manager?.control,
    managers: () => peers,
    connected: () => agent.connected(),
    stop: async () => {
      await renewal.stop();
      await lock?.stop();
      await agent.stop();
      await manager?.stop();
    },
    leave: async () => {
      await renewal.stop();
      await lock?.stop();
      try {
        await agent.leave();
      } finally {
        await manager?.stop();
      }
    },
  };
}
