import { createReadStream } from 'node:fs';
import path from 'node:path';
import { readBackup } from '@swarmd/backup';
import { type Command, command } from '../../program/command.js';
import { describeBackup, openingSecret, SECRET_FLAGS, told } from './secret.js';

/** `backup verify`. Needs no swarmd. */
export const backupVerify: Command = command({
  name: 'verify',
  summary: 'Check every part of a backup and show what it is',
  synopsis: 'FILE',
  arity: 1,
  argument: 'file',
  flags: SECRET_FLAGS,
  async run(context, { flags, args }) {
    const file = createReadStream(path.resolve(context.directory, args[0]!), { signal: context.signal });
    const secret = (header: Parameters<typeof openingSecret>[2]) => openingSecret(context, flags, header);
    const summary = await told(() => readBackup(file, { secret }));
    context.out.write(`The backup is whole.\n${describeBackup(summary)}`);
  },
});
