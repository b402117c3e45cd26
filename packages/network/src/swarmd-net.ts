import { existsSync, readFileSync } from 'node:fs';
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
import { openNodeState } from './state/node-state.js';
import { listenUnix } from './unix-listen.js';

/** What touches the kernel. */
export interface KernelParts {
  plane: NetworkPlane;
  names: NameServer;
  mesh: Mesh;
  /** Path of a network's namespace. */
  pathOf(networkId: string): string;
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
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      sandboxExists: existsSync,
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
      ...{ knowledge: state, plane: kernel.plane, pathOf: kernel.pathOf, run: runCommand, clock },
      problems: () => keeper.problems(),
      portsOf: (networkId) => [...state.locals().values()].filter((local) => local.networkId === networkId),
      isOurs: (device) => device === HOST_LINK,
      about: { protocol: NODE_NETWORKS_PROTOCOL, version: VERSIONS.swarmd },
    });
    auditRoutes(control, auditor);
    keeper.restore();
    ready({ network: createNetworkDriver(driver), ipam });
    await listenUnix(control, join(options.runDir, CONTROL_SOCKET));
    return {
      async stop() {
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
