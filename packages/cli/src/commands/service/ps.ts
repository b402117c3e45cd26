import type { Client } from '../../client/client.js';
import { listServices, listTasks, nodeReference } from '../../client/resources.js';
import { parseFilters } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { printTasks, TASK_FLAGS } from '../task/print.js';

/** `service ps`. */
export const servicePs: Command = command({
  name: 'ps',
  summary: 'List the tasks of one or more services',
  synopsis: 'SERVICE [SERVICE...]',
  arity: { min: 1 },
  argument: 'service',
  flags: TASK_FLAGS,
  async run(context, { flags, args }) {
    const { ids, missing } = await findServices(context.client, args);
    if (ids.length > 0) {
      const filters = parseFilters(flags.filter);
      if (filters['node'] !== undefined) {
        filters['node'] = await Promise.all(filters['node'].map((ref) => nodeReference(context.client, ref)));
      }
      const tasks = await listTasks(context.client, { ...filters, service: ids });
      await printTasks(context, tasks, flags);
    }
    if (missing.length > 0) throw new CommandError(missing.map((ref) => `no such service: ${ref}`).join('\n'));
  },
});

/** IDs of the services that are meant by ID, name or prefix, in that order of preference. */
async function findServices(client: Client, refs: readonly string[]): Promise<{ ids: string[]; missing: string[] }> {
  const byId = await listServices(client, { id: refs });
  const byName = await listServices(client, { name: refs });
  const ids = new Set<string>();
  const missing: string[] = [];
  for (const ref of refs) {
    const prefixed = byId.filter(({ ID }) => ID.startsWith(ref));
    const found = byId.find(({ ID }) => ID === ref) ?? byName.find(({ Spec }) => Spec.Name === ref) ?? prefixed[0];
    if (found === undefined) missing.push(ref);
    else if (found.ID !== ref && found.Spec.Name !== ref && prefixed.length > 1) {
      throw new CommandError(`multiple services found with provided prefix: ${ref}`);
    } else ids.add(found.ID);
  }
  return { ids: [...ids], missing };
}
