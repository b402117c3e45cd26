import type { ClusterCheck, ManagerCheck, NodeCheck } from '@swarmd/model';
import { toGoJson } from '@swarmd/template';
import { type ListLayout, printList } from '../../output/list.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';
import { formatBytes } from '../../text/quantities.js';

const MANAGERS: ListLayout = {
  headers: {
    Manager: 'MANAGER',
    Addr: 'ADDRESS',
    Answers: 'ANSWERS',
    Version: 'SWARMD',
    Protocol: 'PROTOCOL',
    Clock: 'CLOCK',
    Space: 'ETCD SPACE',
    Fsync: 'SYNC P99',
  },
  table: '{{.Manager}}\t{{.Addr}}\t{{.Answers}}\t{{.Version}}\t{{.Protocol}}\t{{.Clock}}\t{{.Space}}\t{{.Fsync}}',
};

const NODES: ListLayout = {
  headers: {
    Node: 'NODE',
    State: 'STATUS',
    Version: 'SWARMD',
    Engine: 'ENGINE',
    Clock: 'CLOCK',
    Certificate: 'CERTIFICATE UNTIL',
  },
  table: '{{.Node}}\t{{.State}}\t{{.Version}}\t{{.Engine}}\t{{.Clock}}\t{{.Certificate}}',
};

/** `cluster check`. */
export const clusterCheck: Command = command({
  name: 'check',
  summary: 'Check managers, clocks, certificates and versions; exits with 1 when something is to be done',
  flags: { format: text('Format of the output: "table" or "json"', { words: ['table', 'json'] }) },
  async run(context, { flags }) {
    const { format = 'table' } = flags;
    if (format !== 'table' && format !== 'json') throw new CommandError(`--format is table or json, not ${format}`);
    const check = await context.client.get<ClusterCheck>('/swarmd/check', { signal: context.signal });
    if (format === 'json') context.out.write(`${toGoJson(check)}\n`);
    else describe(context, check);
    return check.Healthy ? 0 : 1;
  },
});

function describe(
  context: CommandContext,
  { Quorum, Managers, Nodes, Findings, RootCertificateNotAfter }: ClusterCheck,
) {
  printList(context, MANAGERS, Managers.map(managerRow), {});
  context.out.write('\n');
  if (Nodes.length > 0) {
    printList(context, NODES, Nodes.map(nodeRow), {});
    context.out.write('\n');
  }
  const margin = Quorum.Margin < 0 ? `no quorum: ${-Quorum.Margin} too few` : `${Quorum.Margin} more can be lost`;
  context.out.write(`Managers: ${Quorum.Healthy} of ${Quorum.Voters} are there, ${margin}\n`);
  if (RootCertificateNotAfter !== '') context.out.write(`Root certificate: until ${RootCertificateNotAfter}\n`);
  for (const { Level, What, Do } of Findings) context.out.write(`${Level.toUpperCase()}: ${What}\n    ${Do}\n`);
  if (Findings.length === 0) context.out.write('Nothing is to be done.\n');
}

function managerRow({ Hostname, NodeID, Addr, Answers, SwarmdVersion, Protocol, ClockAheadMs, Etcd }: ManagerCheck) {
  return {
    Manager: Hostname || NodeID || '?',
    Addr,
    Answers: Answers ? 'yes' : 'no',
    Version: SwarmdVersion ?? '',
    Protocol: Protocol === undefined ? '' : String(Protocol),
    Clock: clock(ClockAheadMs),
    Space: Etcd === undefined ? '' : `${formatBytes(Etcd.UsedBytes)} of ${formatBytes(Etcd.QuotaBytes)}`,
    Fsync: Etcd?.FsyncP99Ms === undefined ? '' : `${Etcd.FsyncP99Ms} ms`,
  };
}

function nodeRow({
  Hostname,
  NodeID,
  State,
  SwarmdVersion,
  EngineVersion,
  ClockAheadMs,
  CertificateNotAfter,
}: NodeCheck) {
  return {
    Node: Hostname || NodeID,
    State,
    Version: SwarmdVersion ?? '',
    Engine: EngineVersion,
    Clock: clock(ClockAheadMs),
    Certificate: CertificateNotAfter ?? '',
  };
}

function clock(aheadMs: number | undefined): string {
  if (aheadMs === undefined) return '';
  return `${aheadMs < 0 ? '-' : '+'}${(Math.abs(aheadMs) / 1_000).toFixed(2)} s`;
}
