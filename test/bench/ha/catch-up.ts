import type { Host } from '@swarmd/testkit';
import { waitFor } from '../../e2e/support/wait.js';
import type { BenchLine } from '../main.js';
import { ask, type HaSystem, waitUntilWhole } from './system.js';

/** Tasks of one service: about what a large one has. */
const TASKS_PER_SERVICE = 1_000;
const FILLING_TIMEOUT_MS = 1_800_000;

/**
 * Fills the store with `tasks` tasks that fit nowhere and so wait, and has one more manager join. Emits
 * `ha/catch-up/<system>` in s: from the join until all managers, the new one too, have it as reachable, and it tells
 * of all tasks. Docker's managers answer such questions from the leader's store, so that its figure may flatter it.
 */
export async function measureCatchUp(
  system: HaSystem,
  managers: readonly Host[],
  joining: Host,
  tasks: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  const first = managers[0]!;
  const services = Math.ceil(tasks / TASKS_PER_SERVICE);
  const began = performance.now();
  for (let index = 0; index < services; index++) {
    const body = {
      Name: `fill-${index}`,
      TaskTemplate: {
        ContainerSpec: { Image: 'busybox:latest', Args: ['sleep', 'infinity'] },
        Placement: { Constraints: ['node.labels.nowhere==true'] },
      },
      Mode: { Replicated: { Replicas: Math.min(TASKS_PER_SERVICE, tasks - index * TASKS_PER_SERVICE) } },
    };
    await ask(system, first, '/services/create', { method: 'POST', body, timeoutMs: FILLING_TIMEOUT_MS });
  }
  // By service: all tasks in one answer would be more than either system sends.
  const hasAll = async (host: Host, index: number): Promise<boolean> => {
    const filters = new URLSearchParams({ filters: JSON.stringify({ service: [`fill-${index}`] }) });
    const listed = await ask<unknown[]>(system, host, `/tasks?${filters}`, { timeoutMs: 600_000 }).catch(() => []);
    return listed.length === Math.min(TASKS_PER_SERVICE, tasks - index * TASKS_PER_SERVICE);
  };
  const full = async (host: Host): Promise<boolean> => {
    for (let index = services - 1; index >= 0; index--) if (!(await hasAll(host, index))) return false;
    return true;
  };
  const patience = { timeoutMs: FILLING_TIMEOUT_MS, everyMs: 250 };
  await waitFor(`${system.name} has ${tasks} tasks`, () => full(first), patience);
  emit({ name: `ha/fill/${system.name}`, value: (performance.now() - began) / 1000, unit: 's' });
  const started = performance.now();
  await system.join(joining);
  await waitUntilWhole(system, [...managers, joining]);
  await waitFor(`${joining.name} has all tasks`, () => full(joining), { ...patience, everyMs: 25 });
  emit({ name: `ha/catch-up/${system.name}`, value: (performance.now() - started) / 1000, unit: 's' });
}
