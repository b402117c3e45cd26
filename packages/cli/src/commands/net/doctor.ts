import type { DoctorFinding, DoctorReport } from '@swarmd/model';
import { toGoJson } from '@swarmd/template';
import { type ListLayout, printList } from '../../output/list.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, text } from '../../program/flag-types.js';

const NODES: ListLayout = {
  headers: { Node: 'NODE', Answers: 'ANSWERS', Version: 'SWARMD-NET', Networks: 'NETWORKS', Containers: 'CONTAINERS' },
  table: '{{.Node}}\t{{.Answers}}\t{{.Version}}\t{{.Networks}}\t{{.Containers}}',
};

/** `doctor`. */
export const doctor: Command = command({
  name: 'doctor',
  summary:
    'Ask all nodes how their networks are and try the ways between them; exits with 1 when something is to be done',
  flags: {
    node: text('Only this node, and the ways between it and others'),
    repair: bool('Have nodes mend what they can mend by themselves'),
    format: text('Format of the output: "table" or "json"', { words: ['table', 'json'] }),
  },
  async run(context, { flags }) {
    const { format = 'table', node, repair } = flags;
    if (format !== 'table' && format !== 'json') throw new CommandError(`--format is table or json, not ${format}`);
    const report = await context.client.get<DoctorReport>('/swarmd/doctor', {
      query: { node, repair: repair ? 1 : undefined },
      signal: context.signal,
    });
    if (format === 'json') context.out.write(`${toGoJson(report)}\n`);
    else describe(context, report);
    return report.Healthy ? 0 : 1;
  },
});

function describe(context: CommandContext, { Nodes, Findings, Probes }: DoctorReport): void {
  const rows = Nodes.map(({ NodeID, Hostname, Answers, Version, Networks, Containers }) => ({
    ...{ Node: Hostname || NodeID, Answers: Answers ? 'yes' : 'no', Version },
    ...{ Networks: Answers ? String(Networks) : '', Containers: Answers ? String(Containers) : '' },
  }));
  printList(context, NODES, rows, {});
  context.out.write('\n');
  if (Probes.Sent > 0)
    context.out.write(`Ways between nodes: ${Probes.Heard} of ${Probes.Sent} that were tried are open\n`);
  for (const finding of Findings) context.out.write(describeFinding(finding));
  if (Findings.length === 0) context.out.write('Nothing is to be done.\n');
}

function describeFinding({ Level, What, Do, Hostname, NodeID }: DoctorFinding): string {
  const node = Hostname || NodeID;
  const about = node === '' ? '' : `${node}: `;
  return `${Level.toUpperCase()}: ${about}${What}\n${Do === '' ? '' : `    ${Do}\n`}`;
}
