import { textOf } from '../canonical/build.js';
import { composeError, type Report } from '../problem.js';
import type { ReadFile } from '../project/read-resources.js';
import { type Env, interpolateTree } from '../syntax/interpolate.js';
import { parseYaml } from '../syntax/parse.js';
import { child, type MappingNode, scalar } from '../syntax/tree.js';
import { applyExtends } from './extends.js';
import { applyIncludes } from './include.js';
import { prepareLayer, type Surroundings } from './layer.js';
import { mergeTrees, settle } from './merge.js';

/** What {@link combineFiles} needs. */
export interface CombineInput {
  files: readonly { path: string; content: string }[];
  env: Env;
  projectDirectory: string;
  readFile: ReadFile;
}

const PROJECT_NAME = /^[a-z0-9][a-z0-9_-]*$/;

/**
 * All files as one canonical tree, and the environment it was made with (the project's name as `COMPOSE_PROJECT_NAME`
 * added). Order: extends within each file, merge over earlier files, include, `!reset`.
 * @throws SwarmdError `invalid-argument`: no file, or anything wrong in one.
 */
export function combineFiles(input: CombineInput, report: Report): { tree: MappingNode; env: Env } {
  const parsed = input.files.map(({ path, content }) => ({ path, documents: parseYaml(path, content) }));
  const name = projectName(
    parsed.flatMap(({ documents }) => documents),
    input.env,
  );
  const env = name === undefined ? input.env : { COMPOSE_PROJECT_NAME: name, ...input.env };
  const around: Surroundings = { env, directory: input.projectDirectory, readFile: input.readFile, report };
  const tree = combine(
    parsed,
    around,
    input.files.map(({ path }) => path),
  );
  reportVersion(tree, report);
  return { tree: settle(tree), env };
}

interface ParsedFile {
  path: string;
  documents: readonly MappingNode[];
}

function combine(files: readonly ParsedFile[], around: Surroundings, chain: readonly string[]): MappingNode {
  let merged: MappingNode | undefined;
  for (const { path, documents } of files) {
    for (const document of documents) {
      const layer = applyExtends(prepareLayer(document, around), path, merged, around);
      merged = merged === undefined ? layer : (mergeTrees(merged, layer) as MappingNode);
    }
  }
  if (merged === undefined)
    throw composeError('', `there is nothing in ${files.map(({ path }) => path).join(', ') || 'no file'}`);
  return applyIncludes(merged, around, chain, (included, inside, nested) => {
    const parsed = included.map(({ path, content }) => ({ path, documents: parseYaml(path, content) }));
    return settle(combine(parsed, inside, nested));
  });
}

function projectName(documents: readonly MappingNode[], env: Env): string | undefined {
  const node = documents.map((document) => child(document, 'name')).findLast((candidate) => candidate !== undefined);
  if (node === undefined) return undefined;
  const name = textOf(interpolateTree(node, env, () => {}));
  if (name === undefined || PROJECT_NAME.test(name)) return name;
  throw composeError('name', `${JSON.stringify(name)} does not match ${PROJECT_NAME.source}`, node.at);
}

function reportVersion(tree: MappingNode, report: Report): void {
  const node = child(tree, 'version') ?? scalar(null, tree.at);
  const version = textOf(node);
  if (version === undefined) return;
  const message = version.startsWith('3')
    ? 'obsolete, may be left out'
    : `obsolete and ignored: the file is read by today's specification`;
  report({ path: 'version', message, severity: version.startsWith('3') ? 'info' : 'warning', at: node.at });
}
