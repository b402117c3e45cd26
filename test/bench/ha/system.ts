import { callEngine, type Host } from '@swarmd/testkit';
import { waitFor } from '../../e2e/support/wait.js';

/** A cluster of several managers that answers the Docker Engine API: swarmd or Docker Swarm. */
export interface HaSystem {
  readonly name: 'swarm' | 'swarmd';
  /** The first ones are its managers after `form`. */
  readonly hosts: readonly Host[];
  /** Path of a manager's API socket on this machine. */
  socket(host: Host): string;
  /** Makes managers of the first `managers` hosts; resolves once all are reachable. */
  form(managers: number): Promise<void>;
  /** Has one more host join as a manager; resolves when the call returns. */
  join(host: Host): Promise<void>;
  /** Kills the manager's process with SIGKILL; resolves when the signal was sent. */
  kill(host: Host): Promise<void>;
  /** Starts it again; resolves when its API answers. */
  restart(host: Host): Promise<void>;
  /** Takes the system off the hosts' processors. */
  stop(): Promise<void>;
}

/** What the benchmark reads of a node. */
interface NodeView {
  Description?: { Hostname?: string };
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean; Reachability?: string };
}

/** A call of a manager's API; its answer as JSON, undefined without one. Rejects for a status of 400 or more. */
export async function ask<T>(
  system: HaSystem,
  host: Host,
  path: string,
  options: { method?: 'GET' | 'POST' | 'DELETE'; body?: object; timeoutMs?: number } = {},
): Promise<T> {
  const text = await callEngine(system.socket(host), { path, ...options });
  return (text.trim() === '' ? undefined : JSON.parse(text)) as T;
}

/** The leader in the eyes of a manager; undefined when it knows none. */
export async function leaderOf(system: HaSystem, asked: Host): Promise<Host | undefined> {
  const nodes = await ask<NodeView[]>(system, asked, '/nodes');
  const name = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader === true)?.Description?.Hostname;
  return system.hosts.find((host) => host.name === name);
}

/** Resolves once every manager has all of `managers` as ready and reachable, and one of them as the leader. */
export async function waitUntilWhole(system: HaSystem, managers: readonly Host[]): Promise<void> {
  let seen = '';
  await waitFor(
    `all managers of ${system.name} are reachable`,
    async () => {
      const views = await Promise.all(managers.map((host) => ask<NodeView[]>(system, host, '/nodes').catch(() => [])));
      seen = JSON.stringify(views.map((nodes) => nodes.map(({ Status, ManagerStatus }) => [Status, ManagerStatus])));
      return views.every((nodes) => {
        const ready = nodes.filter(
          ({ Status, ManagerStatus }) => Status.State === 'ready' && ManagerStatus?.Reachability === 'reachable',
        );
        const names = ready.map(({ Description }) => Description?.Hostname);
        const led = nodes.some(({ ManagerStatus }) => ManagerStatus?.Leader === true);
        return led && managers.every(({ name }) => names.includes(name));
      });
    },
    { timeoutMs: 180_000, describe: () => seen },
  );
}

/** The value below which `share` (0…1) of sorted values lie. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
