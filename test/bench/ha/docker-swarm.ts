import type { Host } from '@swarmd/testkit';
import { type HaSystem, waitUntilWhole } from './system.js';

/** Beside swarmd, which has Docker Swarm's usual port. */
const PORT = 2399;

/** Docker Swarm on the hosts' own engines; its managers are the engines, so that a kill is one of dockerd. */
export function dockerSwarm(hosts: readonly Host[]): HaSystem {
  const docker = (host: Host, ...args: string[]): Promise<string> =>
    host.run(['docker', '-H', 'unix:///run/docker.sock', ...args], { timeoutMs: 300_000 });
  const address = (host: Host): string => `${host.ip}:${PORT}`;
  const addresses = (host: Host): string[] => ['--listen-addr', address(host), '--advertise-addr', address(host)];
  const first = hosts[0]!;
  const joinOne = async (host: Host): Promise<void> => {
    const token = (await docker(first, 'swarm', 'join-token', '-q', 'manager')).trim();
    await docker(host, 'swarm', 'join', ...addresses(host), '--token', token, address(first));
  };
  const system: HaSystem = {
    name: 'swarm',
    hosts,
    socket: (host) => host.engineSocket,
    async form(managers) {
      await docker(first, 'swarm', 'init', ...addresses(first));
      for (const host of hosts.slice(1, managers)) await joinOne(host);
      await waitUntilWhole(system, hosts.slice(0, managers));
    },
    join: joinOne,
    kill: async (host) => {
      await host.run('kill -KILL "$(cat /run/docker.pid)"');
    },
    async restart(host) {
      await host.stopEngine({ signalName: 'KILL' });
      await host.startEngine();
    },
    async stop() {
      await Promise.all(hosts.map((host) => docker(host, 'swarm', 'leave', '--force').catch(() => '')));
    },
  };
  return system;
}
