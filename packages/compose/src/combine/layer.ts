import { toCanonical } from '../canonical/canonical.js';
import { composeErrors, type Report } from '../problem.js';
import type { ReadFile } from '../project/read-resources.js';
import { composeFile } from '../schema/file.js';
import { checkShape } from '../schema/shape.js';
import { type Env, interpolateTree } from '../syntax/interpolate.js';
import { parseYaml } from '../syntax/parse.js';
import type { MappingNode } from '../syntax/tree.js';
import { mergeTrees } from './merge.js';
import { resolvePaths } from './paths.js';

/** What every file is read with. `directory` is where its relative paths start. */
export interface Surroundings {
  env: Env;
  directory: string;
  readFile: ReadFile;
  report: Report;
}

/**
 * One YAML document made ready for merging: variables replaced, checked against the schema, in long form, paths resolved.
 * @throws SwarmdError `invalid-argument` with everything that does not fit the schema.
 */
export function prepareLayer(document: MappingNode, around: Surroundings): MappingNode {
  const interpolated = interpolateTree(document, around.env, around.report);
  const problems = checkShape(interpolated, composeFile);
  if (problems.length > 0) throw composeErrors(problems);
  const canonical = toCanonical(interpolated as MappingNode, around.report);
  return resolvePaths(canonical, around.directory, around.env);
}

/** All documents of one file, prepared and merged in their order; undefined for an empty file. */
export function prepareFile(path: string, content: string, around: Surroundings): MappingNode | undefined {
  return mergeLayers(parseYaml(path, content).map((document) => prepareLayer(document, around)));
}

/** Prepared layers merged in their order; undefined when there are none. */
export function mergeLayers(layers: readonly MappingNode[]): MappingNode | undefined {
  const [first, ...rest] = layers;
  if (first === undefined) return undefined;
  return rest.reduce((base, over) => mergeTrees(base, over) as MappingNode, first);
}

/** A file's content as text. */
export function textContent(content: string | Uint8Array): string {
  return typeof content === 'string' ? content : new TextDecoder().decode(content);
}
