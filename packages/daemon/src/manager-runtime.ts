import { createManager, type LeaderHandlers, MANAGER_LOOPS, type Manager, startLostManagers } from '@swarmd/manager';
import { SwarmdError } from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import { keyHandlers } from './lock/key-exchange.js';
import { startMemberKeeper } from './manager/member-keeper.js';
import { memberHandlers } from './manager/members.js';
import type { StoreHost } from './manager/store-host.js';
import type { NodePorts } from './node-ports.js';

const NO_STANDBY = 'the state is in an etcd that others run, where every manager serves: promote without --standby';

/** A manager of this node, serving. */
export interface ManagerRuntime {
  readonly manager: Manager;
  readonly host: StoreHost;
  /** Hands leadership over, stops serving and closes the store. */
  stop(): Promise<void>;
}

/** Starts the manager over an open store that holds a cluster, or follows one; the store is closed with it. */
export async function startManager(
  host: StoreHost,
  identity: IdentityHolder,
  addresses: { listenAddr: string; advertiseAddr: string },
  version: string,
  ports: NodePorts,
  answers: LeaderHandlers,
): Promise<ManagerRuntime> {
  const { nodeId } = identity.current;
  const manager = createManager({
    ...{ store: host.store, identity, version, ...ports },
    ...{ listenAddr: addresses.listenAddr, advertiseAddr: addresses.advertiseAddr },
    loops: MANAGER_LOOPS,
    answers,
    handlers: { ...memberHandlers(host, ports), ...keyHandlers(host) },
    // Managers have no votes in an etcd that others run.
    duties: [
      () => startMemberKeeper(host, nodeId, ports),
      ...(host.isExternal ? [] : [() => startLostManagers({ store: host.store, ...ports })]),
    ],
    refuseStandby: () => (host.isExternal ? new SwarmdError('failed-precondition', NO_STANDBY) : undefined),
    refuseManager: (newcomer) => host.refuseManager(newcomer),
    leadsConsensus: () => host.etcd?.leadsConsensus() ?? false,
  });
  try {
    await manager.start();
  } catch (error) {
    await host.close();
    throw error;
  }
  return {
    manager,
    host,
    stop: async () => {
      await manager.stop();
      await host.close();
    },
  };
}
