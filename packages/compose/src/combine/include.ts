import { posix } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { textOf } from '../canonical/build.js';
import { composeError } from '../problem.js';
import { parseEnvFile } from '../project/env-file.js';
import type { Env } from '../syntax/interpolate.js';
import {
  child,
  type Entry,
  type MappingNode,
  mappingLike,
  scalar,
  type Tree,
  toPlain,
  withEntry,
  withoutEntries,
} from '../syntax/tree.js';
import { type Surroundings, textContent } from './layer.js';
import { isRemote, resolvePath } from './paths.js';

/** Loads the files of an included project into one tree; `combineFiles` without its last step. */
export type LoadIncluded = (
  files: readonly { path: string; content: string }[],
  around: Surroundings,
  chain: readonly string[],
) => MappingNode;

/** What an included project may add. */
const SECTIONS = ['services', 'networks', 'volumes', 'secrets', 'configs', 'models'];

/**
 * `tree` with the projects of its `include` copied in, each loaded by itself with its own project directory and `.env`
 * (variables of the including project win). Source: Compose Specification, "include".
 * @throws SwarmdError `invalid-argument` for missing files, circles, and resources that both sides define differently.
 */
export function applyIncludes(
  tree: MappingNode,
  around: Surroundings,
  chain: readonly string[],
  load: LoadIncluded,
): MappingNode {
  const includes = child(tree, 'include');
  if (includes?.kind !== 'sequence') return tree;
  return includes.items.reduce<MappingNode>(
    (into, clause, index) => {
      const included = loadClause(clause, `include[${index}]`, around, chain, load);
      return SECTIONS.reduce((target, section) => importSection(target, included, section), into);
    },
    withoutEntries(tree, ['include']),
  );
}

function loadClause(
  clause: Tree,
  path: string,
  around: Surroundings,
  chain: readonly string[],
  load: LoadIncluded,
): MappingNode {
  const texts = (key: string) => {
    const node = child(clause, key);
    return (node?.kind === 'sequence' ? node.items : []).map((item) => {
      const text = textOf(item) ?? '';
      if (isRemote(text)) throw composeError(path, `${text}: only files can be read, nothing is fetched`, item.at);
      return resolvePath(around.directory, text, around.env);
    });
  };
  const read = (file: string) => {
    const content = around.readFile(file);
    if (content === undefined) throw composeError(path, `file ${file} cannot be read`, clause.at);
    return textContent(content);
  };
  const paths = texts('path');
  const first = paths[0];
  if (first === undefined) throw composeError(path, 'path is required', clause.at);
  const nested = [...chain, first];
  if (chain.includes(first))
    throw composeError(path, `files include each other in a circle: ${nested.join(' → ')}`, clause.at);
  const given = textOf(child(clause, 'project_directory'));
  const directory = given === undefined ? posix.dirname(first) : resolvePath(around.directory, given, around.env);
  const local = localEnv(texts('env_file'), directory, { ...around, directory }, read, path, clause);
  const files = paths.map((file) => ({ path: file, content: read(file) }));
  const env = { ...local, ...around.env };
  return fixVariables(load(files, { ...around, directory, env }, nested), env);
}

function localEnv(
  files: readonly string[],
  directory: string,
  around: Surroundings,
  read: (file: string) => string,
  path: string,
  clause: Tree,
): Env {
  const fallback = posix.join(directory, '.env');
  const found = files.length > 0 ? files : around.readFile(fallback) === undefined ? [] : [fallback];
  const env: Record<string, string> = {};
  for (const file of found) {
    const { variables, fault } = parseEnvFile(read(file), { ...env, ...around.env });
    if (fault !== undefined) throw composeError(path, `${file}:${fault.line}: ${fault.message}`, clause.at);
    for (const [key, value] of variables) if (value !== null) env[key] = value;
  }
  return env;
}

/** Gives what takes its value "from the environment" its value now: the including project knows another environment. */
function fixVariables(tree: MappingNode, env: Env): MappingNode {
  const known = (name: string) => (Object.hasOwn(env, name) ? env[name] : undefined);
  const inService = (service: Tree): Tree => {
    const variables = child(service, 'environment');
    if (service.kind !== 'mapping' || variables?.kind !== 'mapping') return service;
    const fixed = [...variables.entries].map(([name, { at, node }]): [string, Entry] => {
      const isOpen = node.kind === 'scalar' && node.value === null;
      return [name, { at, node: isOpen ? scalar(known(name) ?? null, node.at) : node }];
    });
    return withEntry(service, 'environment', mappingLike(variables, fixed));
  };
  const inObject = (object: Tree): Tree => {
    const variable = child(object, 'environment');
    const value = known(textOf(variable) ?? '');
    if (object.kind !== 'mapping' || variable === undefined || value === undefined) return object;
    return withEntry(withoutEntries(object, ['environment']), 'content', scalar(value, variable.at));
  };
  const changes = { services: inService, secrets: inObject, configs: inObject };
  return Object.entries(changes).reduce((result, [section, change]) => {
    const node = child(result, section);
    if (node?.kind !== 'mapping') return result;
    const entries = [...node.entries].map(
      ([name, entry]) => [name, { at: entry.at, node: change(entry.node) }] as const,
    );
    return withEntry(result, section, mappingLike(node, entries));
  }, tree);
}

function importSection(target: MappingNode, included: MappingNode, section: string): MappingNode {
  const from = child(included, section);
  if (from?.kind !== 'mapping') return target;
  const into = child(target, section);
  const entries = new Map<string, Entry>(into?.kind === 'mapping' ? into.entries : []);
  for (const [name, entry] of from.entries) {
    const own = entries.get(name);
    if (own !== undefined && !isDeepStrictEqual(toPlain(own.node), toPlain(entry.node))) {
      throw composeError(`${section}.${name}`, 'an included file defines it differently', entry.at);
    }
    if (own === undefined) entries.set(name, entry);
  }
  return withEntry(target, section, mappingLike(into ?? from, entries));
}
