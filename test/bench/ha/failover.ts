import { setTimeout as delay } from 'node:timers/promises';
import { callEngine, type Host } from '@swarmd/testkit';
import { waitFor } from '../../e2e/support/wait.js';
import type { BenchLine } from '../main.js';
import { ask, type HaSystem, leaderOf, quantile, waitUntilWhole } from './system.js';

/** Fine against what is measured, and few enough calls for a manager that waits for a leader. */
const TRY_EVERY_MS = 25;
const DEADLINE_MS = 120_000;

/**
 * Kills the leader `kills` times. Emits `ha/failover/<write|task>/<median|worst>/<system>` in ms from the kill: to the
 * first write that another manager acknowledges, and to the first task that runs of a service created after that. A few
 * milliseconds of that are the kill's own way into the host.
 */
export async function measureFailover(
  system: HaSystem,
  managers: readonly Host[],
  kills: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  const writes: number[] = [];
  const tasks: number[] = [];
  for (let round = 0; round < kills; round++) {
    await waitUntilWhole(system, managers);
    const leader = (await leaderOf(system, managers[round % managers.length]!))!;
    const others = managers.filter((host) => host !== leader);
    const asked = others[round % others.length]!;
    const killed = performance.now();
    await system.kill(leader);
    await firstWrite(system, asked, round);
    writes.push(performance.now() - killed);
    const service = `failover-${round}`;
    await createOn(system, asked, service);
    await waitFor(`a task of ${service} runs`, () => runsOn(asked, service), { everyMs: TRY_EVERY_MS });
    tasks.push(performance.now() - killed);
    await system.restart(leader);
    await ask(system, asked, `/services/${service}`, { method: 'DELETE' });
  }
  await waitUntilWhole(system, managers);
  for (const [name, list] of Object.entries({ write: writes, task: tasks })) {
    const sorted = list.sort((a, b) => a - b);
    emit({ name: `ha/failover/${name}/median/${system.name}`, value: quantile(sorted, 0.5), unit: 'ms' });
    emit({ name: `ha/failover/${name}/worst/${system.name}`, value: sorted.at(-1)!, unit: 'ms' });
  }
}

/**
 * Resolves with the first of many tries that is acknowledged: one begins every {@link TRY_EVERY_MS}, as a manager may
 * refuse at once, or hold a call until there is a leader. Only a write begun after the kill counts, so none is sent before.
 */
async function firstWrite(system: HaSystem, asked: Host, round: number): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  let acknowledged = false;
  for (let attempt = 0; !acknowledged; attempt++) {
    if (performance.now() > deadline) throw new Error(`${system.name} took no write for ${DEADLINE_MS / 1000} s`);
    const body = { Name: `f-${round}-${attempt}`, Labels: {}, Data: 'eA==' };
    const options = { method: 'POST' as const, body, timeoutMs: 10_000 };
    const trying = ask(system, asked, '/configs/create', options).then(
      () => {
        acknowledged = true;
      },
      () => {},
    );
    await Promise.race([trying, delay(TRY_EVERY_MS)]);
    // A refusal comes in a moment: the next try is not to come before its time either.
    if (!acknowledged) await delay(1);
  }
}

/** A service of one task on the host itself. Tries again: the leader may be new and busy. */
async function createOn(system: HaSystem, host: Host, name: string): Promise<void> {
  const body = {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: 'busybox:latest', Args: ['sleep', 'infinity'], StopGracePeriod: 1 },
      Placement: { Constraints: [`node.hostname==${host.name}`] },
    },
    Mode: { Replicated: { Replicas: 1 } },
  };
  await waitFor(`${system.name} takes service ${name}`, () =>
    ask(system, host, '/services/create', { method: 'POST', body }).then(
      () => true,
      (error: Error) => error.message.includes('409'),
    ),
  );
}

async function runsOn(host: Host, service: string): Promise<boolean> {
  const filters = new URLSearchParams({
    filters: JSON.stringify({ label: [`com.docker.swarm.service.name=${service}`], status: ['running'] }),
  });
  return JSON.parse(await callEngine(host.engineSocket, { path: `/containers/json?${filters}` })).length > 0;
}
