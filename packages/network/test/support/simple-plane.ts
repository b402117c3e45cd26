import { execFile } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Mesh, NameServer, NetworkPlane } from '../../src/parts.js';
import type { KernelParts } from '../../src/swarmd-net.js';

const run = promisify(execFile);

/**
 * A kernel's side for tests of the driver alone: a bridge a network in the host's own namespace, without VXLAN, names
 * and published ports. Each call is a line of `logFile`.
 */
export function simpleParts(logFile: string): KernelParts {
  const log = (...what: unknown[]): void => appendFileSync(logFile, `${JSON.stringify(what)}\n`);
  const bridgeOf = (networkId: string): string => `tb${networkId.slice(0, 10)}`;
  const exists = (link: string): Promise<boolean> =>
    run('ip', ['link', 'show', link]).then(
      () => true,
      () => false,
    );
  const plane: NetworkPlane = {
    configure: async (config) => log('configure', config.addr),
    async ensure(network) {
      log('ensure', network.id);
      const bridge = bridgeOf(network.id);
      if (!(await exists(bridge))) await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
      await run('ip', ['link', 'set', bridge, 'up']);
    },
    async remove(networkId) {
      log('remove', networkId);
      if (await exists(bridgeOf(networkId))) await run('ip', ['link', 'del', bridgeOf(networkId)]);
    },
    async plug(network, { endpointId, addresses }) {
      log('plug', network.id, addresses);
      const [outer, inner] = [`vh${endpointId.slice(0, 10)}`, `vc${endpointId.slice(0, 10)}`];
      if (await exists(outer)) await run('ip', ['link', 'del', outer]);
      await run('ip', ['link', 'add', outer, 'type', 'veth', 'peer', 'name', inner]);
      await run('ip', ['link', 'set', outer, 'master', bridgeOf(network.id), 'up']);
      return { interfaceName: inner };
    },
    async unplug(networkId, endpointId) {
      log('unplug', networkId);
      const outer = `vh${endpointId.slice(0, 10)}`;
      if (await exists(outer)) await run('ip', ['link', 'del', outer]);
    },
    apply: async (network, { endpoints }) => log('apply', network.id, [...endpoints.keys()]),
    audit: async () => [],
    reset: async () => log('reset'),
  };
  return { plane, names: noNames(), mesh: noMesh() };
}

/** A name server that answers nothing. */
export function noNames(): NameServer {
  const nothing = async (): Promise<void> => {};
  return { serve: nothing, redirect: nothing, audit: async () => [], stop: nothing, close: nothing };
}

/** A mesh that publishes nothing. */
export function noMesh(): Mesh {
  const nothing = async (): Promise<void> => {};
  return {
    ...{ configure: nothing, apply: nothing, joined: nothing, check: nothing, reset: nothing, close: nothing },
    problems: () => [],
  };
}
