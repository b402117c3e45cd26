import { join } from 'node:path';
import { type Clock, NETWORK_DRIVER, NODE_NETWORKS_PROTOCOL, type NodeNetworks, VERSIONS } from '@swarmd/model';
import type { Logger } from 'pino';
import { createAuditor } from './audit/auditor.js';
import { runCommand } from './audit/command.js';
import { auditRoutes } from './audit/routes.js';
import { createControlServer } from './control/control-server.js';
import { createEndpointFeed } from './control/endpoint-feed.js';
import { createKeeper } from './control/keeper.js';
import { createNameSource } from './control/name-source.js';
import { createNodeNetworks } from './control/node-networks.js';
import { createIpamDriver } from './driver/ipam-driver.js';
import { createNetworkDriver } from './driver/network-driver.js';
import { createPluginServer, type Drivers } from './driver/plugin-server.js';
import { HOST_LINK } from './mesh/node-rules.js';
import type { Mesh, NameServer, NameSource, NetworkPlane } from './parts.js';
import { readBootId } from './state/boot.js';
import { openNodeState } from './state/node-state.js';
import { listenUnix } from './unix-listen.js';

/** What touches the kernel. */
export interface KernelParts {
  plane: NetworkPlane;
  names: NameServer;
  mesh: Mesh;
}

/** How swarmd-net is run. */
export interface SwarmdNetOptions {
  stateDir: string;
  runDir: string;
  pluginsDir: string;
  /** Makes the kernel's side. */
  kernel(source: NameSource): KernelParts;
  clock: Clock;
  logger: Logger;
}

/** A running swarmd-net. */
export interface SwarmdNet {
  /** Ends the process's part: names and the engine are not answered any more; the kernel stays as it is. */
  stop(): Promise<void>;
}

const SWEEP_PERIOD_MS = 30_000;

/** Where the agent finds it: in the directory of what must not outlive a reboot. */
export const CONTROL_SOCKET = 'net.sock';

/**
 * Serves the engine first, as it may wait already, then reads the state, serves the agent, and brings all networks about
 * in the background. Resolves when it serves both.
 */
export async function startSwarmdNet(options: SwarmdNetOptions): Promise<SwarmdNet> {
  const { clock, logger } = options;
  const child = (component: string): Logger => logger.child({ component });
  let ready = (_drivers: Drivers): void => {};
  const drivers = new Promise<Drivers>((resolve) => {
    ready = resolve;
  });
  const plugin = createPluginServer({ drivers, clock, logger: child('driver') });
  await listenUnix(plugin, join(options.pluginsDir, `${NETWORK_DRIVER}.sock`));
  try {
    const state = await openNodeState({
      path: join(options.stateDir, 'net.log'),
      bootId: readBootId(options.runDir),
      logger: child('state'),
    });
    const kernel = options.kernel(createNameSource(state));
    const keeper = createKeeper({ state, ...kernel, clock, logger: child('keeper') });
    const ipam = createIpamDriver(state, () => clock.monotonic());
    const driver = { state, keeper, plane: kernel.plane, ipam, clock, logger: child('driver') };
    const feed = createEndpointFeed(state, clock);
    const networks: NodeNetworks = createNodeNetworks({ state, keeper, feed, clock, logger: child('control') });
    const control = createControlServer(Promise.resolve(networks), child('control'));
    const auditor = createAuditor({
      ...{ knowledge: state, plane: kernel.plane, names: kernel.names, run: runCommand, clock },
      pathOf: (networkId) => join(options.runDir, 'netns', networkId.slice(0, 12)),
      check: () => kernel.mesh.check(),
      problems: () => keeper.problems(),
      portsOf: (networkId) => [...state.locals().values()].filter((local) => local.networkId === networkId),
      isOurs: (device) => device === HOST_LINK,
      about: { protocol: NODE_NETWORKS_PROTOCOL, version: VERSIONS.swarmd },
    });
    auditRoutes(control, auditor);
    keeper.restore();
    const network = createNetworkDriver(driver);
    const sweeping = every(clock, SWEEP_PERIOD_MS, () => network.sweep(), child('driver'));
    ready({ network, ipam });
    await listenUnix(control, join(options.runDir, CONTROL_SOCKET));
    return {
      async stop() {
        sweeping();
        keeper.stop();
        await Promise.all([plugin.close(), control.close()]);
        await auditor.close();
        await Promise.all([kernel.names.close(), kernel.mesh.close()]);
        await state.close();
      },
    };
  } catch (error) {
    await plugin.close();
    throw error;
  }
}

/** Runs `task` again and again, with `periodMs` between; the returned function ends that. */
function every(clock: Clock, periodMs: number, task: () => Promise<void>, logger: Logger): () => void {
  let cancel = (): void => {};
  let stopped = false;
  const wait = (): void => {
    if (stopped) return;
    cancel = clock.after(periodMs, () => {
      task()
        .catch((error: unknown) => logger.warn({ err: error }, 'endpoints that were left behind are still there'))
        .finally(wait);
    });
  };
  wait();
  return () => {
    stopped = true;
    cancel();
  };
}
