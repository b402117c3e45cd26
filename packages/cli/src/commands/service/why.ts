import type { ServiceExplanation } from '@swarmd/model';
import { alignColumns, toGoJson } from '@swarmd/template';
import { getService } from '../../client/resources.js';
import { printInspect } from '../../output/inspect.js';
import { shortId } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { bool, text } from '../../program/flag-types.js';

/** `why`. */
export const why: Command = command({
  name: 'why',
  summary: "Say why a service's tasks wait: the verdict of each filter for each node",
  synopsis: 'SERVICE',
  arity: 1,
  argument: 'service',
  flags: {
    format: text("'json', or a Go template over the explanation", { words: ['json'] }),
    'no-trunc': bool('Do not truncate output'),
  },
  async run(context, { flags, args }) {
    const service = await getService(context.client, args[0]!);
    const explanation = await context.client.get<ServiceExplanation>(`/swarmd/services/${service.ID}/why`);
    if (flags.format === 'json') {
      context.out.write(`${toGoJson(explanation)}\n`);
      return;
    }
    if (flags.format !== undefined && flags.format !== '') {
      await printInspect(context, [args[0]!], flags.format, async () => explanation);
      return;
    }
    context.out.write(describeExplanation(explanation, flags['no-trunc']));
  },
});

/** The waiting tasks of a service, each with a table of nodes and filters. Tasks with equal verdicts share a table. */
export function describeExplanation({ ServiceName, Tasks }: ServiceExplanation, whole: boolean): string {
  if (Tasks.length === 0) return `No task of ${ServiceName} waits for a node.\n`;
  const groups = new Map<string, ServiceExplanation['Tasks']>();
  for (const task of Tasks) {
    const key = JSON.stringify([task.State, task.Err, task.Nodes]);
    groups.set(key, [...(groups.get(key) ?? []), task]);
  }
  return [...groups.values()].map((tasks) => describeGroup(ServiceName, tasks, whole)).join('\n');
}

function describeGroup(service: string, tasks: ServiceExplanation['Tasks'], whole: boolean): string {
  const { State, Err, Nodes } = tasks[0]!;
  const names = tasks.map(({ ID, Slot, NodeID }) => {
    const name = `${service}.${Slot > 0 ? Slot : NodeID || 'global'}`;
    return `${name} (${whole ? ID : shortId(ID)})`;
  });
  const title = `${names.join(', ')}: ${State}${Err === '' ? '' : `: ${Err}`}`;
  const filters = [...new Set(Nodes.flatMap(({ Verdicts }) => Verdicts.map(({ Filter }) => Filter)))];
  const header = ['NODE', ...filters.map((filter) => filter.toUpperCase()), 'VERDICT'].join('\t');
  const rows = Nodes.map(({ ID, Hostname, Verdicts }) => {
    const byFilter = new Map(Verdicts.map((verdict) => [verdict.Filter, verdict]));
    const marks = filters.map((filter) => mark(byFilter.get(filter)?.Ok));
    const reasons = Verdicts.flatMap(({ Ok, Reason }) => (Ok && Reason === '' ? [] : [Reason]));
    const fits = Verdicts.every(({ Ok }) => Ok);
    const verdict = [...(fits ? ['would do'] : []), ...reasons].join('; ');
    return [Hostname || ID, ...marks, verdict].join('\t');
  });
  return `${title}\n${alignColumns([header, ...rows].join('\n'))}\n`;
}

function mark(ok: boolean | undefined): string {
  return ok === undefined ? '-' : ok ? 'ok' : 'no';
}
