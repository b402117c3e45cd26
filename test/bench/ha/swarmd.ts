import type { Host, Lab } from '@swarmd/testkit';
import { createKeeper, type Keeper } from '../../chaos/support/keeper.js';
import { SWARMD_SOCKET } from '../../e2e/support/cluster.js';
import { waitFor } from '../../e2e/support/wait.js';
import { type HaSystem, waitUntilWhole } from './system.js';

/** swarmd on the lab's hosts; not started before `form`. */
export function swarmdSystem(lab: Lab): HaSystem {
  const { hosts } = lab;
  const keepers = new Map<Host, Keeper>(hosts.map((host) => [host, createKeeper(lab, host, undefined)]));
  const docker = (host: Host, ...args: string[]): Promise<string> =>
    host.run(['docker', '-H', `unix://${SWARMD_SOCKET}`, ...args], { timeoutMs: 300_000 });
  const start = async (host: Host): Promise<void> => {
    keepers.get(host)!.keep();
    const ping = ['curl', '-sf', '--max-time', '5', '--unix-socket', SWARMD_SOCKET, 'http://swarmd/_ping'];
    await waitFor(`swarmd on ${host.name} answers`, async () => (await host.exec(ping)).code === 0);
  };
  const first = hosts[0]!;
  const joinOne = async (host: Host): Promise<void> => {
    const token = (await docker(first, 'swarm', 'join-token', '-q', 'manager')).trim();
    await docker(host, 'swarm', 'join', '--token', token, '--advertise-addr', host.ip, `${first.ip}:2377`);
  };
  const system: HaSystem = {
    name: 'swarmd',
    hosts,
    socket: (host) => host.path(SWARMD_SOCKET),
    async form(managers) {
      await Promise.all(hosts.map((host) => start(host)));
      await docker(first, 'swarm', 'init', '--advertise-addr', first.ip);
      for (const host of hosts.slice(1, managers)) await joinOne(host);
      await waitUntilWhole(system, hosts.slice(0, managers));
    },
    join: joinOne,
    kill: (host) => keepers.get(host)!.drop(),
    restart: start,
    async stop() {
      await Promise.all([...keepers.values()].map((keeper) => keeper.drop()));
    },
  };
  return system;
}
