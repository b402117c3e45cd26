import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { BackupSecret, RestoreReport } from '@swarmd/model';
import { getCluster, getInfo } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, text } from '../../program/flag-types.js';
import { agreed } from '../../program/question.js';
import { givenSecret, SECRET_FLAGS, told } from './secret.js';

const IN_CLUSTER =
  'This node is in a cluster. A cluster is restored on a host that is in none: restore on another one, or leave this one first ("swarmctl leave --force" erases its state).';

/** `backup restore`. */
export const backupRestore: Command = command({
  name: 'restore',
  summary: 'Make this host the manager of a backed-up cluster',
  synopsis: 'FILE',
  arity: 1,
  argument: 'file',
  flags: {
    ...SECRET_FLAGS,
    'as-new': bool('Make a new cluster with the services, networks, secrets and configs of the backup'),
    'advertise-addr': text('Advertised address (format: "<ip|interface>[:port]")'),
    'listen-addr': text('Listen address (format: "<ip|interface>[:port]")'),
    node: text('Manager of the backup whose place this host takes (ID, hostname or address), or "new"'),
    'dry-run': bool('Only show what would be done'),
    yes: bool('Do not ask', { short: 'y' }),
  },
  async run(context, { flags, args }) {
    const file = path.resolve(context.directory, args[0]!);
    const secret = await givenSecret(context, flags);
    if (secret === undefined)
      throw new CommandError('a backup opens with its secret: give it with --key-file or --passphrase-file');
    const reading = flags['key-file'] === '-' || flags['passphrase-file'] === '-';
    if (reading && !flags.yes && !flags['dry-run'])
      throw new CommandError('the secret comes from STDIN, so that nothing can be asked there: add --yes or --dry-run');
    const { Swarm } = await getInfo(context.client);
    if (Swarm.LocalNodeState !== 'inactive') throw new CommandError(IN_CLUSTER);
    const query = {
      asNew: flags['as-new'],
      node: flags.node,
      advertiseAddr: flags['advertise-addr'],
      listenAddr: flags['listen-addr'],
    };
    const plan = await send(context, file, secret, { ...query, dryRun: true });
    context.out.write(describePlan(plan, flags['dry-run']));
    if (flags['dry-run']) return;
    if (!flags.yes && !(await agreed(context))) throw new CommandError('Nothing was changed.');
    const report = await send(context, file, secret, { ...query, dryRun: false });
    context.out.write(`\nRestored: node ${report.NodeID} is the manager of cluster ${report.ClusterID}.\n`);
    const worker = (await getCluster(context.client)).JoinTokens?.Worker ?? '';
    const addr = (await getInfo(context.client)).Swarm.RemoteManagers?.[0]?.Addr ?? '';
    context.out.write(`Nodes join it with\n\n    swarmctl join --token ${worker} ${addr}\n`);
  },
});

async function send(
  context: CommandContext,
  file: string,
  secret: BackupSecret,
  query: Record<string, string | boolean | undefined>,
): Promise<RestoreReport> {
  // A file that is not there is said as such, not as a broken request.
  await told(async () => (await open(file, 'r')).close());
  return context.client.post<RestoreReport>('/swarmd/restore', {
    query,
    headers: { 'x-swarmd-backup-secret': Buffer.from(JSON.stringify(secret)).toString('base64') },
    upload: createReadStream(file),
    signal: context.signal,
  });
}

function describePlan({ Steps, Warnings, Counts }: RestoreReport, only: boolean): string {
  const counts = Object.entries(Counts).map(([table, count]) => `${count} ${table}`);
  const items = (lines: readonly string[]): string => lines.map((line) => `  - ${line}\n`).join('');
  const afterwards = Warnings.length === 0 ? '' : `Afterwards:\n${items(Warnings)}`;
  return `This ${only ? 'would happen' : 'will happen'}:\n${items(Steps)}${afterwards}Objects: ${counts.join(', ')}\n`;
}
