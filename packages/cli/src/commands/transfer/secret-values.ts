import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/** Where values of secrets are: a folder of files named like them, and files one by one (`NAME=FILE`, both there), which win. */
export interface SecretSources {
  folder: string | undefined;
  files: readonly string[];
}

/**
 * Values of secrets, base64, by name; files in the folder that no secret is called by are left alone. Throws
 * CommandError for a file that cannot be read and for a NAME that is none of `names`.
 */
export async function readSecretValues(
  { directory }: Pick<CommandContext, 'directory'>,
  { folder, files }: SecretSources,
  names: readonly string[],
): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  if (folder !== undefined) {
    const place = path.resolve(directory, folder);
    const found = new Set(await reading(folder, () => readdir(place)));
    for (const name of names) if (found.has(name)) paths.set(name, path.join(place, name));
  }
  for (const text of files) {
    const at = text.indexOf('=');
    const name = text.slice(0, at);
    if (!names.includes(name)) throw new CommandError(`--secret ${text}: the source has no secret ${name}`);
    paths.set(name, path.resolve(directory, text.slice(at + 1)));
  }
  const values = new Map<string, string>();
  for (const [name, file] of paths) {
    values.set(name, (await reading(file, () => readFile(file))).toString('base64'));
  }
  return values;
}

async function reading<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    throw new CommandError(`cannot read ${what}: ${(thrown as Error).message}`);
  }
}
