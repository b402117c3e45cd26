import path from 'node:path';
import { checkBackup, createKeyFile, createRecoveryKey, saveBackup } from '@swarmd/backup';
import type { BackupSecret } from '@swarmd/model';
import { getInfo } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';
import { describeBackup, givenSecret, SECRET_FLAGS, told } from './secret.js';

const STALE = 'WARNING: too few managers can be reached: the newest changes may be missing from this backup\n';

/** `backup create`. */
export const backupCreate: Command = command({
  name: 'create',
  summary: 'Write an encrypted backup of the whole cluster while it runs',
  flags: {
    ...SECRET_FLAGS,
    'key-file': text('File with the recovery key that seals the backup; made when missing'),
    output: text('File to write, "-" for STDOUT', {
      short: 'o',
      defaultText: '"swarmd-CLUSTER-TIME.swmbak"',
    }),
  },
  async run(context, { flags }) {
    const { output } = flags;
    const toStdout = output === '-';
    if (toStdout && context.out.isTerminal)
      throw new CommandError(
        'a backup is no text for a terminal: name a file with --output, or pass it on with a pipe',
      );
    const { secret, news } = await sealingSecret(context, flags);
    const file = output ?? (await defaultName(context));
    const stream = await context.client.stream('/swarmd/backup', {
      method: 'POST',
      body: secret,
      signal: context.signal,
    });
    if (stream.headers['swarmd-stale'] === 'true') context.err.write(STALE);
    const summary = await told(() =>
      toStdout
        ? checkBackup(stream, secret, (piece) => context.out.writeBytes(piece))
        : saveBackup(path.resolve(context.directory, file), stream, secret),
    );
    const screen = toStdout ? context.err : context.out;
    screen.write(`${toStdout ? 'Backup written' : `Backup written to ${file}`}, read back and found whole.\n`);
    screen.write(describeBackup(summary) + news);
  },
});

/** The secret to seal with, made where none was given, and what to say of it once the backup is there. */
async function sealingSecret(
  context: CommandContext,
  flags: Parameters<typeof givenSecret>[1],
): Promise<{ secret: BackupSecret; news: string }> {
  const given = await givenSecret(context, flags);
  if (given !== undefined) return { secret: given, news: '' };
  const keyFile = flags['key-file'];
  if (keyFile !== undefined) {
    // Before the backup: there must be none that nobody can open.
    const RecoveryKey = await told(() => createKeyFile(path.resolve(context.directory, keyFile)));
    const news = `\nA new recovery key was written to ${keyFile}. Without it nobody can read the backup, and a copy that is\nlost with this host helps nobody: keep one elsewhere, or on paper. It is\n\n    ${RecoveryKey}\n`;
    return { secret: { RecoveryKey }, news };
  }
  const RecoveryKey = createRecoveryKey();
  const news = `\nRecovery key, shown this once:\n\n    ${RecoveryKey}\n\nWithout it nobody can read this backup. Keep it apart from the file, on paper if you like. The next backup gets\nanother one, unless you name a --key-file or a --passphrase-file.\n`;
  return { secret: { RecoveryKey }, news };
}

async function defaultName({ client, now }: CommandContext): Promise<string> {
  const { Swarm } = await getInfo(client);
  const time = new Date(now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return `swarmd-${Swarm.Cluster?.ID ?? 'cluster'}-${time}Z.swmbak`;
}
