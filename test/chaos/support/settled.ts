import { containersOn, serviceOf, type TaskView, tasksOf } from '../../e2e/support/observe.js';
import { waitFor } from '../../e2e/support/wait.js';
import type { Spec } from './resources.js';
import type { World } from './world.js';

/** Long enough for restart delays, updates one task at a time and nodes that come back. */
const SETTLE_TIMEOUT_MS = 240_000;

/**
 * Waits until each service has, in the eyes of every manager, exactly the tasks that its spec asks for, all of them
 * run, and the engines run one container for each of them and no other. Rejects with what is not so.
 */
export async function waitUntilSettled(world: World, services: readonly string[]): Promise<void> {
  let wrong: string[] = ['nothing was asked yet'];
  await waitFor(
    'all services have converged',
    async () => {
      wrong = await unsettled(world, services).catch((error: Error) => [error.message]);
      return wrong.length === 0;
    },
    { timeoutMs: SETTLE_TIMEOUT_MS, everyMs: 500, describe: () => wrong.join('\n') },
  );
}

async function unsettled(world: World, services: readonly string[]): Promise<string[]> {
  const hosts = world.places.map(({ host }) => host);
  const running = (await Promise.all(hosts.map((host) => containersOn(host)))).flat();
  const containers = running.filter(({ State }) => State === 'running').map(({ Id }) => Id);
  const wrong: string[] = [];
  for (const { host: manager } of world.managers) {
    const own: string[] = [];
    for (const name of services) {
      const { Spec } = (await serviceOf(manager, name)) as unknown as { Spec: Spec };
      const wanted = Spec.Mode?.Replicated?.Replicas ?? hosts.length;
      const tasks = (await tasksOf(manager, name)).filter(({ DesiredState }) => DesiredState === 'running');
      const bad = tasks.filter(({ Status }) => Status.State !== 'running');
      const slots = new Set(tasks.map(({ Slot, NodeID }) => Slot ?? NodeID));
      if (tasks.length !== wanted) wrong.push(`${manager.name}: ${name} has ${tasks.length} tasks, not ${wanted}`);
      if (slots.size !== tasks.length) wrong.push(`${manager.name}: two tasks of ${name} have the same slot`);
      wrong.push(...bad.map((task) => `${manager.name}: ${name} ${describeTask(task)}`));
      own.push(...tasks.map(({ Status }) => Status.ContainerStatus?.ContainerID ?? ''));
    }
    const strangers = containers.filter((id) => !own.includes(id));
    const missing = own.filter((id) => !containers.includes(id));
    if (strangers.length > 0)
      wrong.push(`${manager.name}: containers of no task that is to run: ${strangers.join(' ')}`);
    if (missing.length > 0) wrong.push(`${manager.name}: tasks whose containers do not run: ${missing.join(' ')}`);
  }
  return wrong;
}

function describeTask({ ID, Slot, Status }: TaskView): string {
  return `${Slot ?? '-'}.${ID.slice(0, 6)} ${Status.State} ${Status.Err ?? Status.Message ?? ''}`;
}
