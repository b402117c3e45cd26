import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ApiNetwork } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { listData } from '../../client/resources.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import type { EditInputs, GivenFlags } from './spec/draft.js';
import type { FileReference } from './spec/file-references.js';

/** Looks up all that flags name, so that editing the spec needs no I/O. Throws CommandError for what does not exist. */
export async function lookUpInputs(context: CommandContext, { flags }: GivenFlags): Promise<EditInputs> {
  const { client, env, directory } = context;
  const listed = <T>(...names: string[]): T[] => names.flatMap((name) => (flags[name] ?? []) as T[]);
  const networks = listed<string | { Target: string }>('network', 'network-add', 'network-rm').map((item) =>
    typeof item === 'string' ? item : item.Target,
  );
  const names = (kind: string): string[] => listed<FileReference>(kind, `${kind}-add`).map(({ source }) => source);
  return {
    networks: await networkIds(client, networks),
    secrets: await dataIds(client, 'secrets', names('secret')),
    configs: await dataIds(client, 'configs', names('config')),
    envFileVariables: await readEnvFiles(listed<string>('env-file'), context),
    env,
    directory,
  };
}

async function networkIds(client: Client, names: readonly string[]): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const name of new Set(names)) {
    const network = await client.get<ApiNetwork>(objectPath('networks', name), { query: { scope: 'swarm' } });
    ids.set(name, network.Id);
  }
  return ids;
}

async function dataIds(
  client: Client,
  kind: 'secrets' | 'configs',
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map();
  const found = await listData(client, kind, { name: [...new Set(names)] });
  const ids = new Map(found.map(({ ID, Spec }) => [Spec.Name, ID]));
  const missing = names.find((name) => !ids.has(name));
  if (missing !== undefined) throw new CommandError(`${kind.slice(0, -1)} not found: ${missing}`);
  return ids;
}

async function readEnvFiles(
  files: readonly string[],
  { env, directory }: Pick<CommandContext, 'env' | 'directory'>,
): Promise<string[]> {
  const variables: string[] = [];
  for (const file of files) {
    let content: string;
    try {
      content = await readFile(path.resolve(directory, file), 'utf8');
    } catch (thrown) {
      throw new CommandError((thrown as Error).message);
    }
    variables.push(...parseEnvFile(content, file, env));
  }
  return variables;
}

/**
 * Variables of a file for `--env-file`: `NAME=value` a line as it stands, `NAME` alone taken from the environment (left
 * out when it is not there), `#` lines and empty ones skipped. Source: docker CLI, `opts.ParseEnvFile`.
 */
export function parseEnvFile(
  content: string,
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  return content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap((line) => {
      const text = line.trimStart();
      if (text === '' || text.startsWith('#')) return [];
      const at = text.indexOf('=');
      const name = at === -1 ? text : text.slice(0, at);
      if (name === '') throw new CommandError(`no variable name on line '${text}' of ${file}`);
      if (/\s/.test(name)) throw new CommandError(`variable '${name}' contains whitespaces (${file})`);
      if (at !== -1) return [text];
      const inherited = env[name];
      return inherited === undefined ? [] : [`${name}=${inherited}`];
    });
}
