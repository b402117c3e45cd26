import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';
import { formatExport } from '../../transfer/file.js';
import { readFrom } from './import.js';
import { readCluster } from './read.js';

/** `export`. */
export const exportCommand: Command = command({
  name: 'export',
  summary: 'Write all objects of the cluster as JSON that can be compared and imported',
  flags: {
    from: text('Socket of a manager of a Docker Swarm to read instead (format: "unix://PATH" or "tcp://HOST:PORT")'),
    output: text('File to write to instead of STDOUT', { short: 'o' }),
  },
  async run({ client, out, err, directory }, { flags }) {
    const { objects } = flags.from === undefined ? await readCluster(client) : await readFrom(flags.from);
    const content = formatExport(objects);
    if (flags.output === undefined) out.write(content);
    else await save(path.resolve(directory, flags.output), content);
    if (objects.secrets.length > 0) {
      err.write(
        `The values of ${objects.secrets.length} secrets are not in it: a cluster does not hand them out. Keep them elsewhere for an import.\n`,
      );
    }
  },
});

async function save(file: string, content: string): Promise<void> {
  try {
    // Configs and environments often hold what not everybody should read.
    await writeFile(file, content, { mode: 0o600 });
  } catch (thrown) {
    throw new CommandError(`cannot write ${file}: ${(thrown as Error).message}`);
  }
}
