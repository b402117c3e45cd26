import type { FormatRow } from '@swarmd/template';
import type { ApiService } from '../../client/api-types.js';
import { listServices, listTasks, ofStack, STACK_LABEL } from '../../client/resources.js';
import { filterFlag, formatFlag, type ListLayout, parseFilters, printList, quietFlag } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { naturalCompare } from '../../text/natural-order.js';
import { SERVICE_LAYOUT, serviceRows } from '../service/ls.js';
import { printTasks, TASK_FLAGS } from '../task/print.js';

const STACK_LAYOUT: ListLayout = {
  headers: { Name: 'NAME', Services: 'SERVICES' },
  table: '{{.Name}}\t{{.Services}}',
};

/** `stack ls`. */
export const stackLs: Command = command({
  name: 'ls',
  aliases: ['list'],
  summary: 'List stacks',
  flags: { format: formatFlag },
  async run(context, { flags }) {
    const services = await listServices(context.client, { label: [STACK_LABEL] });
    printList(context, STACK_LAYOUT, stackRows(services), flags);
  },
});

/** A row a stack, sorted by name, with the number of its services. */
export function stackRows(services: readonly ApiService[]): FormatRow[] {
  const counts = new Map<string, number>();
  for (const { Spec } of services) {
    const name = Spec.Labels?.[STACK_LABEL] ?? '';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .toSorted(([a], [b]) => naturalCompare(a, b))
    .map(([Name, count]) => ({ Name, Services: String(count) }));
}

/** `stack services`. */
export const stackServices: Command = command({
  name: 'services',
  summary: 'List the services in the stack',
  synopsis: 'STACK',
  arity: 1,
  argument: 'stack',
  flags: { filter: filterFlag, format: formatFlag, quiet: quietFlag },
  async run(context, { flags, args }) {
    const filters = inStack(args[0]!, flags.filter);
    const services = await listServices(context.client, filters, { status: true });
    if (services.length === 0) {
      context.err.write(`Nothing found in stack: ${args[0]}\n`);
      return;
    }
    printList(context, SERVICE_LAYOUT, serviceRows(services), flags);
  },
});

/** `stack ps`. */
export const stackPs: Command = command({
  name: 'ps',
  summary: 'List the tasks in the stack',
  synopsis: 'STACK',
  arity: 1,
  argument: 'stack',
  flags: { ...TASK_FLAGS, format: formatFlag },
  async run(context, { flags, args }) {
    const tasks = await listTasks(context.client, inStack(args[0]!, flags.filter));
    if (tasks.length === 0) {
      context.err.write(`nothing found in stack: ${args[0]}\n`);
      return 1;
    }
    await printTasks(context, tasks, flags);
    return 0;
  },
});

function inStack(namespace: string, given: readonly string[]): Record<string, readonly string[]> {
  const filters = parseFilters(given);
  return { ...filters, label: [...(filters['label'] ?? []), ...ofStack(namespace)['label']!] };
}
