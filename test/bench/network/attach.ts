import { callEngine, type Host } from '@swarmd/testkit';
import type { BenchLine } from '../main.js';
import { timed } from './large-network.js';
import type { Overlay } from './overlays.js';
import { median, medianRatio } from './ways.js';

const BRIDGE = 'bench-bridge';

/**
 * A plain container of the engine's own API on a network that others of its host are on already, the networks in turn.
 * Emits, each the median of the rounds, `network/attach/<bridge|swarmd|swarm>` (ms, from creating it until it has started)
 * and `network/detach/…` (until it is removed), and their ratios as `…/of-bridge`.
 */
export async function measureAttach(
  host: Host,
  overlays: readonly Overlay[],
  rounds: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  await host.run(['docker', 'network', 'create', BRIDGE]);
  await host.run([
    'docker',
    'run',
    '-d',
    '--name',
    'bench-stays',
    '--network',
    BRIDGE,
    'busybox:latest',
    'sleep',
    '9999',
  ]);
  const networks = new Map([['bridge', BRIDGE], ...overlays.map(({ name, network }) => [name, network] as const)]);
  const times = new Map([...networks.keys()].map((name) => [name, { attach: [] as number[], detach: [] as number[] }]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, network] of networks) {
      const one = await life(host, `bench-attach-${name}`, network);
      // The first one of each meets cold caches.
      if (round < 0) continue;
      times.get(name)!.attach.push(one.attach);
      times.get(name)!.detach.push(one.detach);
    }
  }
  for (const phase of ['attach', 'detach'] as const) {
    for (const [name, lists] of times) {
      emit({ name: `network/${phase}/${name}`, value: median(lists[phase]), unit: 'ms' });
      if (name === 'bridge') continue;
      const value = medianRatio(lists[phase], times.get('bridge')![phase]);
      emit({ name: `network/${phase}/${name}/of-bridge`, value, unit: 'ratio' });
    }
  }
  await host.run(['docker', 'rm', '-f', 'bench-stays']);
  await host.run(['docker', 'network', 'rm', BRIDGE]);
}

async function life(host: Host, name: string, network: string): Promise<{ attach: number; detach: number }> {
  const call = (method: 'POST' | 'DELETE', path: string, body?: object): Promise<string> =>
    callEngine(host.engineSocket, { method, path, ...(body ? { body } : {}) });
  const attach = await timed(async () => {
    const HostConfig = { NetworkMode: network };
    const body = { Image: 'busybox:latest', Cmd: ['sleep', '9999'], HostConfig };
    await call('POST', `/containers/create?name=${name}`, body);
    await call('POST', `/containers/${name}/start`);
  });
  const detach = await timed(() => call('DELETE', `/containers/${name}?force=1`));
  return { attach, detach };
}
