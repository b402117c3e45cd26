import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type TaskState } from '@swarmd/model';
import { objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { listData, listNetworks, listServices, listTasks, ofStack } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool } from '../../program/flag-types.js';

const POLL_MS = 200;

/** `stack rm`. */
export const stackRm: Command = command({
  name: 'rm',
  aliases: ['remove', 'down'],
  summary: 'Remove one or more stacks',
  synopsis: 'STACK [STACK...]',
  arity: { min: 1 },
  argument: 'stack',
  flags: { detach: bool('Do not wait for stack removal', { short: 'd', initial: true }) },
  async run(context, { flags, args }) {
    const failures: string[] = [];
    for (const namespace of args) {
      if (await removeStack(context, namespace)) {
        if (!flags.detach) await waitForTasks(context, namespace);
      } else failures.push(`failed to remove some resources from stack: ${namespace}`);
    }
    if (failures.length > 0) throw new CommandError(failures.join('\n'));
  },
});

/** One thing to remove, and what it is called. */
interface Removal {
  kind: string;
  name: string;
  path: string;
}

async function removals({ client }: CommandContext, namespace: string): Promise<Removal[]> {
  const filters = ofStack(namespace);
  const services = await listServices(client, filters);
  const networks = await listNetworks(client, filters);
  const secrets = await listData(client, 'secrets', filters);
  const configs = await listData(client, 'configs', filters);
  const removal = (kind: string, name: string, id: string): Removal => ({
    kind,
    name,
    path: objectPath(`${kind}s`, id),
  });
  const byName = (list: Removal[]): Removal[] => list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return [
    ...byName(services.map(({ ID, Spec }) => removal('service', Spec.Name ?? '', ID))),
    ...byName(secrets.map(({ ID, Spec }) => removal('secret', Spec.Name, ID))),
    ...byName(configs.map(({ ID, Spec }) => removal('config', Spec.Name, ID))),
    ...byName(networks.map(({ Id, Name }) => removal('network', Name, Id))),
  ];
}

/** Removes all that carries the stack's label; false when something could not be removed. */
async function removeStack(context: CommandContext, namespace: string): Promise<boolean> {
  const found = await removals(context, namespace);
  if (found.length === 0) context.err.write(`Nothing found in stack: ${namespace}\n`);
  let complete = true;
  for (const { kind, name, path } of found) {
    context.out.write(`Removing ${kind} ${name}\n`);
    try {
      await context.client.delete(path);
    } catch (thrown) {
      if (isNotFound(thrown)) continue;
      if (!(thrown instanceof CommandError)) throw thrown;
      complete = false;
      context.err.write(`Failed to remove ${kind} ${name}: ${thrown.message}\n`);
    }
  }
  return complete;
}

async function waitForTasks({ client, signal }: CommandContext, namespace: string): Promise<void> {
  for (;;) {
    const tasks = await listTasks(client, ofStack(namespace), signal);
    if (tasks.every(({ Status }) => isTerminal(Status.State as TaskState))) return;
    await sleep(POLL_MS, undefined, { signal });
  }
}
