import { textOf } from '../canonical/build.js';
import { composeError } from '../problem.js';
import {
  child,
  type Entry,
  isNull,
  joinPath,
  type MappingNode,
  mappingLike,
  scalar,
  sequenceLike,
  type Tree,
} from '../syntax/tree.js';

/** Values at these places of a service are replaced, not combined. */
const REPLACED = /^services\.[^.]+\.(?:command|entrypoint|healthcheck\.test)$/;
/** Under these a null overrides: it means "from the environment" or "no value", and is a value of its own. */
const NULL_IS_VALUE = /\.(?:environment|labels|annotations|sysctls|args)\..+$/;

/** What makes two items of a list the same thing; the later one then takes the place of the earlier. */
const ITEM_KEYS: readonly (readonly [RegExp, (item: Tree) => string])[] = [
  [/\.ports$/, portKey],
  [/^services\.[^.]+\.volumes$/, (item) => textOf(child(item, 'target')) ?? ''],
  [/\.devices$/, (item) => textOf(child(item, 'target')) ?? JSON.stringify(plainKey(item))],
  [/^services\.[^.]+\.secrets$/, (item) => grantKey(item, '/run/secrets')],
  [/^services\.[^.]+\.configs$/, (item) => grantKey(item, '')],
  [/\.env_file$/, (item) => textOf(child(item, 'path')) ?? ''],
  [/\.tmpfs$/, (item) => (textOf(item) ?? '').split(':')[0]!],
  [/\.(?:expose|profiles|cap_add|cap_drop|links|external_links|aliases|group_add|label_file|extra_hosts)$/, itemText],
  [/\.(?:dns|dns_opt|dns_search|security_opt|volumes_from|device_cgroup_rules|constraints)$/, itemText],
  [/^networks\.[^.]+\.ipam\.config$/, (item) => textOf(child(item, 'subnet')) ?? ''],
];

/**
 * `base` overridden by `over`, both canonical: mappings are merged key by key, lists are joined and items that are the
 * same thing (a mount target, a published port) replaced, `command`, `entrypoint` and `healthcheck.test` replaced,
 * `logging` replaced when the driver changes; `!reset` drops what was there, `!override` replaces it whole.
 * Source: Compose Specification, "Merge".
 * @throws SwarmdError `invalid-argument` when a mapping would override a list or the like.
 */
export function mergeTrees(base: Tree, over: Tree, path = ''): Tree {
  if (over.tag !== undefined || base.tag === 'reset' || REPLACED.test(path)) return over;
  if (isNull(over) && over.kind === 'scalar' && !NULL_IS_VALUE.test(path)) return base;
  if (base.kind === 'scalar' && base.value === null) return over;
  if (base.kind === 'scalar' || over.kind === 'scalar') return replaceLeaf(base, over, path);
  if (base.kind !== over.kind) {
    throw composeError(path, `a ${over.kind} cannot override the ${base.kind} of an earlier file`, over.at);
  }
  if (base.kind === 'sequence' && over.kind === 'sequence') {
    return sequenceLike(base, distinct([...base.items, ...over.items], path));
  }
  if (base.kind !== 'mapping' || over.kind !== 'mapping') return over;
  if (/^services\.[^.]+\.logging$/.test(path) && !sameDriver(base, over)) return over;
  return mergeMappings(base, over, path);
}

function replaceLeaf(base: Tree, over: Tree, path: string): Tree {
  const mayDiffer = /\.ulimits\.[^.]+$/.test(path) || /(?:^|\.)x-[^.]*/.test(path);
  if (base.kind !== over.kind && !mayDiffer) {
    throw composeError(path, `a ${over.kind} cannot override the ${base.kind} of an earlier file`, over.at);
  }
  return over;
}

function mergeMappings(base: MappingNode, over: MappingNode, path: string): MappingNode {
  const entries = new Map<string, Entry>(base.entries);
  for (const [key, entry] of over.entries) {
    const earlier = entries.get(key);
    const node =
      earlier === undefined || key.startsWith('x-')
        ? entry.node
        : mergeTrees(earlier.node, entry.node, joinPath(path, key));
    entries.set(key, { at: entry.at, node });
  }
  return mappingLike(base, entries);
}

function sameDriver(base: MappingNode, over: MappingNode): boolean {
  const [before, after] = [textOf(child(base, 'driver')), textOf(child(over, 'driver'))];
  return before === undefined || after === undefined || before === after;
}

/** `tree` as it is after the last merge: without tags, and without what is tagged `!reset`. */
export function settle(tree: MappingNode): MappingNode {
  const entries: [string, Entry][] = [];
  for (const [key, entry] of tree.entries) {
    if (entry.node.tag !== 'reset') entries.push([key, { at: entry.at, node: settleNode(entry.node) }]);
  }
  return { kind: 'mapping', entries: new Map(entries), at: tree.at };
}

function settleNode(node: Tree): Tree {
  if (node.kind === 'mapping') return settle(node);
  if (node.kind === 'scalar') return scalar(node.value, node.at);
  const kept = node.items.filter((item) => item.tag !== 'reset');
  return { kind: 'sequence', items: kept.map(settleNode), at: node.at };
}

function distinct(items: readonly Tree[], path: string): Tree[] {
  const keyOf = ITEM_KEYS.find(([place]) => place.test(path))?.[1];
  if (keyOf === undefined) return [...items];
  const kept = new Map<string, Tree>();
  for (const item of items) kept.set(keyOf(item), item);
  return [...kept.values()];
}

function itemText(item: Tree): string {
  return textOf(item) ?? JSON.stringify(plainKey(item));
}

function plainKey(item: Tree): unknown {
  if (item.kind === 'scalar') return textOf(item);
  if (item.kind === 'sequence') return item.items.map(plainKey);
  return [...item.entries].map(([key, entry]) => [key, plainKey(entry.node)]);
}

function portKey(item: Tree): string {
  const part = (key: string, otherwise: string) => textOf(child(item, key)) ?? otherwise;
  return [part('host_ip', '0.0.0.0'), part('published', ''), part('target', ''), part('protocol', 'tcp')].join('|');
}

function grantKey(item: Tree, directory: string): string {
  const target = textOf(child(item, 'target')) ?? textOf(child(item, 'source')) ?? '';
  return target.startsWith('/') ? target : `${directory}/${target}`;
}
