import type { Position } from '../problem.js';
import { scalarText } from '../syntax/scalar.js';
import {
  type Entry,
  type MappingNode,
  mappingLike,
  type ScalarNode,
  type SequenceNode,
  scalar,
  type Tree,
} from '../syntax/tree.js';

/** A mapping made by a transformation: entries whose value is undefined are left out; everything stands at `at`. */
export function mappingAt(at: Position, values: Readonly<Record<string, Tree | undefined>>): MappingNode {
  const entries: [string, Entry][] = [];
  for (const [key, node] of Object.entries(values)) if (node !== undefined) entries.push([key, { at, node }]);
  return { kind: 'mapping', entries: new Map(entries), at };
}

/** A sequence made by a transformation. */
export function sequenceAt(at: Position, items: readonly Tree[]): SequenceNode {
  return { kind: 'sequence', items, at };
}

/** A text leaf. */
export function textAt(at: Position, text: string): ScalarNode {
  return scalar(text, at);
}

/** The text of a leaf, undefined for null and for anything that is no leaf. */
export function textOf(node: Tree | undefined): string | undefined {
  return node?.kind !== 'scalar' || node.value === null ? undefined : scalarText(node.value);
}

/** `node` with the values of `keys` replaced by what `change` makes of them, where they are present. */
export function mapEntries(node: Tree, changes: Readonly<Record<string, Transform>>, path: string): Tree {
  if (node.kind !== 'mapping') return node;
  const entries = [...node.entries].map(([key, entry]): [string, Entry] => {
    const change = Object.hasOwn(changes, key) ? changes[key] : undefined;
    if (change === undefined || entry.node.tag === 'reset') return [key, entry];
    return [key, { at: entry.at, node: change(entry.node, path === '' ? key : `${path}.${key}`) }];
  });
  return mappingLike(node, entries);
}

/** Turns one way of writing a value into the long way. `path` is for messages. */
export type Transform = (node: Tree, path: string) => Tree;
