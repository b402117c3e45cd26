import type { Stack } from '@swarmd/compose';
import { objectPath } from '../../client/client.js';
import { listData, listNetworks, listServices, ofStack } from '../../client/resources.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/**
 * Removes what carries the stack's label and is not in its files any more, services first. What cannot be removed
 * (because a task still uses it) is said on stderr: the next deploy with `--prune` removes it.
 */
export async function prune({ client, out, err }: CommandContext, stack: Stack): Promise<void> {
  const filters = ofStack(stack.namespace);
  const remove = async (kind: string, id: string, name: string, kept: ReadonlySet<string>): Promise<void> => {
    if (kept.has(name)) return;
    out.write(`Removing ${kind} ${name}\n`);
    try {
      await client.delete(objectPath(`${kind}s`, id));
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      err.write(`Failed to remove ${kind} ${name}: ${thrown.message}\n`);
    }
  };
  const services = new Set(stack.services.map(({ Name = '' }) => Name));
  for (const { ID, Spec } of await listServices(client, filters))
    await remove('service', ID, Spec.Name ?? '', services);
  for (const kind of ['secret', 'config'] as const) {
    const kept = new Set(stack[`${kind}s`].map(({ spec }) => spec.Name));
    for (const { ID, Spec } of await listData(client, `${kind}s`, filters)) await remove(kind, ID, Spec.Name, kept);
  }
  const networks = new Set(stack.networks.map(({ Name }) => Name));
  for (const { Id, Name } of await listNetworks(client, filters)) await remove('network', Id, Name, networks);
}
