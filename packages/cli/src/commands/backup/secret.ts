import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type BackupHeader, type BackupSummary, loadKeyFile, parseRecoveryKey } from '@swarmd/backup';
import { type BackupSecret, SwarmdError } from '@swarmd/model';
import type { CommandContext, Invocation } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';
import { formatBytes } from '../../text/quantities.js';

/** How a backup is opened. */
export const SECRET_FLAGS = {
  'key-file': text('File with the recovery key ("-" reads it from STDIN)'),
  'passphrase-file': text('File with the passphrase ("-" reads it from STDIN)'),
};

type SecretFlags = Invocation<typeof SECRET_FLAGS>['flags'];

/** The secret that the flags name; `undefined` without any, or when the key file is not there yet. */
export async function givenSecret(context: CommandContext, flags: SecretFlags): Promise<BackupSecret | undefined> {
  const { 'key-file': keyFile, 'passphrase-file': passphraseFile } = flags;
  if (keyFile !== undefined && passphraseFile !== undefined)
    throw new CommandError('a backup is sealed with a recovery key or a passphrase, not with both');
  if (passphraseFile !== undefined) {
    const Passphrase = (await readSecret(context, passphraseFile)).replace(/\r?\n$/, '');
    if (Passphrase === '') throw new CommandError(`there is no passphrase in ${passphraseFile}`);
    return { Passphrase };
  }
  if (keyFile === undefined) return undefined;
  return told(async () => {
    if (keyFile !== '-') {
      const RecoveryKey = await loadKeyFile(path.resolve(context.directory, keyFile));
      return RecoveryKey === undefined ? undefined : { RecoveryKey };
    }
    const RecoveryKey = (await readSecret(context, '-')).trim();
    parseRecoveryKey(RecoveryKey);
    return { RecoveryKey };
  });
}

/** The secret that opens a backup which exists. Throws CommandError saying which one is needed. */
export async function openingSecret(
  context: CommandContext,
  flags: SecretFlags,
  header: BackupHeader,
): Promise<BackupSecret> {
  const secret = await givenSecret(context, flags);
  if (secret !== undefined) return secret;
  const missing = flags['key-file'];
  if (missing !== undefined) throw new CommandError(`there is no key file ${missing}`);
  throw new CommandError(
    header.key.kind === 'passphrase'
      ? 'this backup opens with its passphrase: give it with --passphrase-file'
      : `this backup opens with recovery key ${header.key.id}: give it with --key-file`,
  );
}

/** Runs `work`; what it throws becomes a message at the terminal. */
export async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const system = thrown instanceof Error && 'syscall' in thrown;
    if (thrown instanceof SwarmdError || system) throw new CommandError((thrown as Error).message);
    throw thrown;
  }
}

/** What a backup is, a line each. */
export function describeBackup(summary: BackupSummary): string {
  const counts = Object.entries(summary.counts).filter(([, count]) => count > 0);
  const lines = [
    `Cluster:     ${summary.clusterId}`,
    `Made:        ${summary.createdAt.slice(0, 19)}Z by swarmd ${summary.swarmdVersion}`,
    `Store index: ${summary.index}`,
    `Objects:     ${counts.map(([table, count]) => `${count} ${table}`).join(', ')}`,
    `Size:        ${formatBytes(summary.bytes)}`,
    `Opens with:  ${summary.opensWith}`,
    `SHA-256:     ${summary.digest}`,
  ];
  return `${lines.join('\n')}\n`;
}

async function readSecret({ stdin, directory }: CommandContext, file: string): Promise<string> {
  try {
    return file === '-'
      ? (await buffer(stdin)).toString('utf8')
      : await readFile(path.resolve(directory, file), 'utf8');
  } catch (thrown) {
    throw new CommandError((thrown as Error).message);
  }
}
