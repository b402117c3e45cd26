import { posix } from 'node:path';
import { textOf } from '../canonical/build.js';
import { composeError } from '../problem.js';
import { child, type MappingNode, mappingLike, type Tree, withEntry, withoutEntries } from '../syntax/tree.js';
import { prepareFile, type Surroundings, textContent } from './layer.js';
import { mergeTrees } from './merge.js';
import { isRemote, resolvePath } from './paths.js';

/** Where an `extends` is looked up: the services beside it, and what they extend already, to find circles. */
interface Scope extends Surroundings {
  file: string;
  services: MappingNode;
  /** Services of files given before this one; looked at when `services` has none of the name. */
  earlier: Tree | undefined;
  chain: readonly string[];
}

/**
 * `layer` with every service that `extends` another merged over it, from the same file, an earlier one or a file of its
 * own, whose relative paths start at its own directory. Source: Compose Specification, "extends".
 * @throws SwarmdError `invalid-argument` when the service or its file is missing, or services extend each other in a circle.
 */
export function applyExtends(
  layer: MappingNode,
  file: string,
  earlier: MappingNode | undefined,
  around: Surroundings,
): MappingNode {
  const services = child(layer, 'services');
  if (services?.kind !== 'mapping') return layer;
  const scope: Scope = { ...around, file, services, earlier: child(earlier, 'services'), chain: [] };
  const extended = [...services.entries].map(
    ([name, entry]) => [name, { at: entry.at, node: extendService(name, entry.node, scope) }] as const,
  );
  return withEntry(layer, 'services', mappingLike(services, extended));
}

function extendService(name: string, service: Tree, scope: Scope): Tree {
  const clause = child(service, 'extends');
  if (service.kind !== 'mapping' || clause === undefined || clause.tag === 'reset') return service;
  const path = `services.${name}.extends`;
  const id = `${scope.file}: ${name}`;
  const chain = [...scope.chain, id];
  if (scope.chain.includes(id))
    throw composeError(path, `services extend each other in a circle: ${chain.join(' → ')}`, clause.at);
  const target = textOf(child(clause, 'service')) ?? '';
  const file = textOf(child(clause, 'file'));
  const from = file === undefined ? { ...scope, chain } : openScope(file, clause, path, { ...scope, chain });
  const base = child(from.services, target) ?? child(from.earlier, target);
  if (base === undefined) throw composeError(path, `service ${target} is not in ${from.file}`, clause.at);
  const merged = mergeTrees(
    extendService(target, base, from),
    withoutEntries(service, ['extends']),
    `services.${name}`,
  );
  return merged;
}

function openScope(file: string, clause: Tree, path: string, scope: Scope): Scope {
  if (isRemote(file)) throw composeError(path, `${file}: only files can be read, nothing is fetched`, clause.at);
  const resolved = resolvePath(scope.directory, file, scope.env);
  const content = scope.readFile(resolved);
  if (content === undefined) throw composeError(path, `file ${resolved} cannot be read`, clause.at);
  const directory = posix.dirname(resolved);
  const layer = prepareFile(resolved, textContent(content), { ...scope, directory });
  const services = child(layer, 'services');
  if (services?.kind !== 'mapping') throw composeError(path, `file ${resolved} has no services`, clause.at);
  return { ...scope, file: resolved, directory, services, earlier: undefined };
}
