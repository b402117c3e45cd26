import type { Host } from '@swarmd/testkit';
import type { BenchLine } from '../main.js';
import { ask, type HaSystem, leaderOf, quantile } from './system.js';

const WARM_UP = 10;

/**
 * Creates and then updates `writes` configs, one call at a time, through the leader and through another manager, in
 * turns. Emits `ha/write/<leader|follower>/<create|update>/<p50|p99>/<system>` in ms.
 */
export async function measureWrites(
  system: HaSystem,
  managers: readonly Host[],
  writes: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  const leader = await leaderOf(system, managers[0]!);
  const follower = managers.find((host) => host !== leader)!;
  const times = new Map<string, number[]>();
  const timed = async <T>(name: string, index: number, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    const took = performance.now() - started;
    if (index >= WARM_UP) times.set(name, [...(times.get(name) ?? []), took]);
    return result;
  };
  for (let index = 0; index < writes + WARM_UP; index++) {
    for (const [role, host] of [
      ['leader', leader!],
      ['follower', follower],
    ] as const) {
      const body = { Name: `w-${role}-${index}`, Labels: {}, Data: 'eA==' };
      const create = (): Promise<{ ID: string }> => ask(system, host, '/configs/create', { method: 'POST', body });
      const { ID } = await timed(`${role}/create`, index, create);
      type Config = { Version: { Index: number }; Spec: object };
      const { Version, Spec } = await ask<Config>(system, host, `/configs/${ID}`);
      const path = `/configs/${ID}/update?version=${Version.Index}`;
      const update = { method: 'POST' as const, body: { ...Spec, Labels: { round: String(index) } } };
      await timed(`${role}/update`, index, () => ask(system, host, path, update));
      await ask(system, host, `/configs/${ID}`, { method: 'DELETE' });
    }
  }
  for (const [name, list] of times) {
    const sorted = list.sort((a, b) => a - b);
    for (const [share, label] of [
      [0.5, 'p50'],
      [0.99, 'p99'],
    ] as const) {
      emit({ name: `ha/write/${name}/${label}/${system.name}`, value: quantile(sorted, share), unit: 'ms' });
    }
  }
}
