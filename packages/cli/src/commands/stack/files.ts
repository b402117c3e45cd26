import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { type Env, parseEnvFile, type ReadFile } from '@swarmd/compose';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/** Names of Compose files, tried in this order when none is given; an override beside it is added. */
const DEFAULT_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'] as const;

/** What a stack is loaded from. */
export interface ComposeSources {
  readonly files: readonly { path: string; content: string }[];
  /** Directory of the first file: relative paths in files start there. */
  readonly projectDirectory: string;
  readonly env: Env;
}

type World = Pick<CommandContext, 'directory' | 'env' | 'stdin'>;

/**
 * Reads the Compose files that were named (`-` is stdin), or those that stand in the directory, and the variables they
 * may use: the environment's, then those of `--env-file` or else of `.env` beside the first file.
 * Throws CommandError for what cannot be read.
 */
export async function readSources(
  world: World,
  { composeFiles, envFiles }: { composeFiles: readonly string[]; envFiles: readonly string[] },
): Promise<ComposeSources> {
  const names = composeFiles.length > 0 ? composeFiles : await defaultFiles(world.directory);
  if (names.length === 0) {
    throw new CommandError(
      `no Compose file: name one with --compose-file, or put ${DEFAULT_NAMES[0]} into this directory`,
    );
  }
  const files: { path: string; content: string }[] = [];
  for (const name of names) {
    files.push({
      path: name,
      content: name === '-' ? await readText(world.stdin) : readOrThrow(world.directory, name),
    });
  }
  const first = names[0]!;
  const projectDirectory = first === '-' ? world.directory : path.dirname(path.resolve(world.directory, first));
  return { files, projectDirectory, env: readEnv(world, projectDirectory, envFiles) };
}

async function defaultFiles(directory: string): Promise<string[]> {
  for (const name of DEFAULT_NAMES) {
    if (!(await exists(path.join(directory, name)))) continue;
    const override = name.replace(/\.(ya?ml)$/, '.override.$1');
    return (await exists(path.join(directory, override))) ? [name, override] : [name];
  }
  return [];
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

function readOrThrow(directory: string, name: string): string {
  try {
    return readFileSync(path.resolve(directory, name), 'utf8');
  } catch (thrown) {
    throw new CommandError((thrown as Error).message);
  }
}

function readEnv({ directory, env }: World, projectDirectory: string, envFiles: readonly string[]): Env {
  const readOptional = fileReader();
  const contents =
    envFiles.length > 0
      ? envFiles.map((name) => [name, readOrThrow(directory, name)] as const)
      : [['.env', Buffer.from(readOptional(path.join(projectDirectory, '.env')) ?? '').toString('utf8')] as const];
  let variables: Record<string, string | undefined> = {};
  for (const [name, content] of contents) {
    const parsed = parseEnvFile(content, { ...variables, ...env });
    if (parsed.fault !== undefined) throw new CommandError(`${name}:${parsed.fault.line}: ${parsed.fault.message}`);
    const found = [...parsed.variables].flatMap(([key, value]) => (value === null ? [] : [[key, value]]));
    variables = { ...variables, ...Object.fromEntries(found) };
  }
  return { ...variables, ...env };
}

/** Reads files for the loader; what is not there is undefined. */
export function fileReader(): ReadFile {
  return (file) => {
    try {
      return readFileSync(file);
    } catch {
      return undefined;
    }
  };
}
