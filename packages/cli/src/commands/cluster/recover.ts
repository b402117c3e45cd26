import type { RecoveryManager, RecoveryReport, RecoveryRequest } from '@swarmd/model';
import { toGoJson } from '@swarmd/template';
import { type ListLayout, printList } from '../../output/list.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, text } from '../../program/flag-types.js';
import { agreed } from '../../program/question.js';

const LAYOUT: ListLayout = {
  headers: {
    Manager: 'MANAGER',
    Addr: 'ADDRESS',
    Quorum: 'QUORUM',
    Term: 'LOG TERM',
    Index: 'LOG INDEX',
    LastChange: 'LAST CHANGE',
  },
  table: '{{.Manager}}\t{{.Addr}}\t{{.Quorum}}\t{{.Term}}\t{{.Index}}\t{{.LastChange}}',
};

/** `cluster recover`. */
export const clusterRecover: Command = command({
  name: 'recover',
  summary: 'Rebuild a cluster that has lost its quorum from this manager',
  flags: {
    show: bool('Only show the managers, whose log is furthest, and what would be done'),
    format: text('Format of --show: "table" or "json"', { words: ['table', 'json'] }),
    'allow-older': bool('Although the log of another manager that answers is further'),
    force: bool('Although the managers have a quorum', { short: 'f' }),
    'advertise-addr': text('New advertised address (format: "<ip|interface>[:port]")'),
    'listen-addr': text('New listen address (format: "<ip|interface>[:port]")'),
    yes: bool('Do not ask', { short: 'y' }),
  },
  async run(context, { flags }) {
    const request: RecoveryRequest = {
      AllowOlder: flags['allow-older'],
      Force: flags.force,
      AdvertiseAddr: flags['advertise-addr'] ?? '',
      ListenAddr: flags['listen-addr'] ?? '',
    };
    const plan = await send(context, { ...request, DryRun: true });
    if (flags.show && flags.format === 'json') {
      context.out.write(`${toGoJson(plan)}\n`);
      return 0;
    }
    printPlan(context, plan);
    if (flags.show) {
      if (plan.Refusal !== '') context.out.write(`\nNot done without a word more: ${plan.Refusal}\n`);
      return 0;
    }
    if (plan.Refusal !== '') throw new CommandError(plan.Refusal);
    if (!flags.yes && !(await agreed(context))) throw new CommandError('Nothing was changed.');
    const { NodeID } = await send(context, { ...request, DryRun: false });
    context.out.write(`\nRecovered: node ${NodeID} is the only manager of the cluster.\n`);
    return 0;
  },
});

/** `cluster find`. */
export const clusterFind: Command = command({
  name: 'find',
  summary: 'Tell this node where its managers are now, when all that it knows have other addresses',
  synopsis: 'HOST:PORT [HOST:PORT...]',
  arity: { min: 1 },
  async run(context, { args }) {
    await context.client.post('/swarmd/managers', { body: { Addrs: args } });
    context.out.write(`This node looks for its managers at ${args.join(', ')}.\n`);
  },
});

function send(context: CommandContext, body: RecoveryRequest): Promise<RecoveryReport> {
  return context.client.post<RecoveryReport>('/swarmd/recover', { body, signal: context.signal });
}

function printPlan(context: CommandContext, { Managers, Steps, Warnings }: RecoveryReport): void {
  printList(context, LAYOUT, Managers.map(rowOf), {});
  const items = (lines: readonly string[]): string => lines.map((line) => `  - ${line}\n`).join('');
  const warnings = Warnings.length === 0 ? '' : `Mind:\n${items(Warnings)}`;
  context.out.write(`\nA recovery from this manager:\n${items(Steps)}${warnings}`);
}

function rowOf({ Hostname, Addr, Self, Answers, HasQuorum, Term, Index, LastChange }: RecoveryManager) {
  return {
    Manager: `${Hostname || '?'}${Self ? ' *' : ''}`,
    Addr,
    Quorum: Answers ? (HasQuorum ? 'yes' : 'no') : 'no answer',
    ...{ Term, Index, LastChange },
  };
}
