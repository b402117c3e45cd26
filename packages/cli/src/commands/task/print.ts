import type { FormatRow } from '@swarmd/template';
import type { ApiNode, ApiService, ApiTask } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { filterFlag, type ListLayout, prettyPrint, printList, shortId } from '../../output/list.js';
import type { CommandContext } from '../../program/command.js';
import { bool, text } from '../../program/flag-types.js';
import { humanDuration } from '../../text/durations.js';
import { imageForDisplay } from '../../text/image-reference.js';
import { naturalCompare } from '../../text/natural-order.js';

const ERROR_LENGTH = 30;

const TASK_LAYOUT: ListLayout = {
  headers: {
    ID: 'ID',
    Name: 'NAME',
    Image: 'IMAGE',
    Node: 'NODE',
    DesiredState: 'DESIRED STATE',
    CurrentState: 'CURRENT STATE',
    Error: 'ERROR',
    Ports: 'PORTS',
  },
  table: '{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}\t{{.Ports}}',
};

/** Flags of every command that lists tasks. */
export const TASK_FLAGS = {
  filter: filterFlag,
  format: text('Pretty-print tasks using a Go template', { words: ['table', 'json'] }),
  'no-resolve': bool('Do not map IDs to Names'),
  'no-trunc': bool('Do not truncate output'),
  quiet: bool('Only display task IDs', { short: 'q' }),
};

/** Names for IDs of services and nodes. */
export interface TaskNames {
  service(id: string): string;
  node(id: string): string;
}

/** What those flags said. */
export interface TaskListOptions {
  format: string | undefined;
  'no-resolve': boolean;
  'no-trunc': boolean;
  quiet: boolean;
}

/** Prints tasks as `ps` does. */
export async function printTasks(
  context: CommandContext,
  tasks: readonly ApiTask[],
  options: TaskListOptions,
): Promise<void> {
  const { format, quiet } = options;
  const names = options['no-resolve']
    ? { service: (id: string) => id, node: (id: string) => id }
    : await resolveNames(context.client, tasks);
  const isTable = format === undefined || format === '' || format.startsWith('table');
  const rows = taskRows(tasks, names, {
    truncate: !options['no-trunc'] && !quiet,
    indent: isTable,
    now: context.now(),
  });
  printList(context, TASK_LAYOUT, rows, { format, quiet });
}

/** Rows of tasks: those of one slot together, the newest first, the others indented in tables. */
export function taskRows(
  tasks: readonly ApiTask[],
  names: TaskNames,
  { truncate, indent, now }: { truncate: boolean; indent: boolean; now: number },
): FormatRow[] {
  const named = tasks.map((task) => ({
    task,
    name: `${names.service(task.ServiceID)}.${(task.Slot ?? 0) > 0 ? task.Slot : (task.NodeID ?? '')}`,
  }));
  named.sort((a, b) => naturalCompare(a.name, b.name) || compareTimes(b.task.CreatedAt, a.task.CreatedAt));
  return named.map(({ task, name }, index) => {
    const error = task.Status.Err ?? '';
    const image = task.Spec.ContainerSpec?.Image ?? '';
    const shown = truncate && error.length > ERROR_LENGTH ? `${error.slice(0, ERROR_LENGTH - 1)}…` : error;
    return {
      ID: truncate ? shortId(task.ID) : task.ID,
      Name: indent && index > 0 && named[index - 1]!.name === name ? ` \\_ ${name}` : name,
      Image: truncate ? imageForDisplay(image) : image,
      Node: names.node(task.NodeID ?? ''),
      DesiredState: prettyPrint(task.DesiredState),
      CurrentState: `${prettyPrint(task.Status.State)} ${humanDuration(now - Date.parse(task.Status.Timestamp)).toLowerCase()} ago`,
      Error: shown === '' ? '' : `"${shown}"`,
      Ports: (task.Status.PortStatus?.Ports ?? [])
        .map(({ PublishedPort = 0, TargetPort, Protocol = 'tcp' }) => `*:${PublishedPort}->${TargetPort}/${Protocol}`)
        .join(','),
    };
  });
}

/** RFC 3339 times compared to the nanosecond. */
function compareTimes(a: string, b: string): number {
  const difference = Date.parse(a) - Date.parse(b);
  if (difference !== 0) return difference;
  const fraction = (time: string): string => (/\.(\d+)/.exec(time)?.[1] ?? '').padEnd(9, '0');
  return fraction(a) < fraction(b) ? -1 : fraction(a) > fraction(b) ? 1 : 0;
}

/** From so many services or nodes on one list is cheaper than a look-up each. */
const LIST_FROM = 8;

/** Looks up the services and nodes that tasks name; what is gone keeps its ID. */
export async function resolveNames(
  client: Client,
  tasks: readonly Pick<ApiTask, 'ServiceID' | 'NodeID'>[],
): Promise<TaskNames> {
  const serviceIds = new Set(tasks.map(({ ServiceID }) => ServiceID));
  const nodeIds = new Set(tasks.flatMap(({ NodeID = '' }) => (NodeID === '' ? [] : [NodeID])));
  const services = await findAll<ApiService>(client, 'services', serviceIds);
  const nodes = await findAll<ApiNode>(client, 'nodes', nodeIds);
  return {
    service: (id) => services.get(id)?.Spec.Name ?? id,
    node: (id) => {
      const node = nodes.get(id);
      return node?.Spec.Name || node?.Description.Hostname || id;
    },
  };
}

async function findAll<T extends { ID: string }>(
  client: Client,
  collection: string,
  ids: ReadonlySet<string>,
): Promise<Map<string, T>> {
  const found = new Map<string, T>();
  if (ids.size >= LIST_FROM) {
    for (const object of await client.get<T[]>(`/${collection}`)) found.set(object.ID, object);
    return found;
  }
  for (const id of ids) {
    try {
      found.set(id, await client.get<T>(objectPath(collection, id)));
    } catch (thrown) {
      if (!isNotFound(thrown)) throw thrown;
    }
  }
  return found;
}
