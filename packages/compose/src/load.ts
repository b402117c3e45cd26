import { combineFiles } from './combine/files.js';
import { composeErrors, formatProblem, type Position, type Problem, type Report } from './problem.js';
import { checkConsistency } from './project/consistency.js';
import { resolvePairs } from './project/environment.js';
import { isActive } from './project/profiles.js';
import { type ReadFile, readFileObject, readNetwork, readVolumeResource } from './project/read-resources.js';
import { readService } from './project/read-service.js';
import { Reader } from './project/reader.js';
import type { Project, Service } from './project/types.js';
import type { Env } from './syntax/interpolate.js';
import type { MappingNode } from './syntax/tree.js';

/** What a project is loaded from. */
export interface LoadInput {
  /** The files given with `-f`, later ones override earlier ones; `path` is for messages. */
  files: readonly { path: string; content: string }[];
  /** Variables for interpolation, for names without values, and for secrets and configs from the environment. */
  env: Env;
  /** Active profiles; `*` activates all. */
  profiles?: readonly string[];
  /** Where relative paths start. */
  projectDirectory: string;
  /** For `env_file`, `label_file`, secrets, configs, `extends` and `include`. */
  readFile: ReadFile;
}

/** A loaded project and what its author should know. */
export interface LoadResult {
  project: Project;
  warnings: Problem[];
}

/**
 * Loads Compose files into a typed project: parse, interpolate, check, write out short forms, apply `extends`, merge,
 * `include`, select by profile, read. Files that a secret or config names need not exist yet: their content is absent.
 * Source: Compose Specification.
 * @throws SwarmdError `invalid-argument`, with path, file, line and column of everything found wrong at that stage.
 */
export function loadCompose(input: LoadInput): LoadResult {
  const warnings: Problem[] = [];
  const seen = new Set<string>();
  // A file that several services extend is read several times; its problems are told once.
  const report: Report = (problem) => {
    const line = formatProblem(problem);
    if (!seen.has(line)) warnings.push(problem);
    seen.add(line);
  };
  const { tree, env } = combineFiles(input, report);
  const project = readProject(tree, env, input, report);
  const problems = checkConsistency(project);
  if (problems.length > 0) throw composeErrors(problems);
  return { project, warnings };
}

function readProject(tree: MappingNode, env: Env, input: LoadInput, report: Report): Project {
  const root = new Reader(tree, '');
  const section = <T>(key: string, read: (name: string, value: Reader) => T): Record<string, T> =>
    Object.fromEntries(
      root
        .at(key)
        .entries()
        .map(([name, value]) => [name, read(name, value)]),
    );
  const services: [string, Service][] = [];
  const disabledServices: string[] = [];
  for (const [name, service] of root.at('services').entries()) {
    if (!isActive(service.texts('profiles'), input.profiles ?? [])) disabledServices.push(name);
    else services.push([name, readService(name, service, resolvePairs(service, env, input.readFile, report))]);
  }
  const object = (name: string, value: Reader) => readFileObject(name, value, env, input.readFile);
  const name = root.text('name');
  const extensions = root.entries().filter(([key]) => key.startsWith('x-'));
  return {
    ...(name === undefined ? {} : { name }),
    services: Object.fromEntries(services),
    disabledServices,
    networks: section('networks', readNetwork),
    volumes: section('volumes', readVolumeResource),
    secrets: section('secrets', object),
    configs: section('configs', object),
    models: section('models', (_, value) => value.plain()),
    extensions: Object.fromEntries(extensions.map(([key, value]) => [key, value.plain()])),
    positions: collectPositions(tree),
  };
}

function collectPositions(tree: MappingNode): Map<string, Position> {
  const positions = new Map<string, Position>();
  for (const [section, { node }] of tree.entries) {
    if (node.kind !== 'mapping') continue;
    for (const [name, entry] of node.entries) {
      positions.set(`${section}.${name}`, entry.at);
      if (entry.node.kind !== 'mapping') continue;
      for (const [key, { at }] of entry.node.entries) positions.set(`${section}.${name}.${key}`, at);
    }
  }
  return positions;
}
