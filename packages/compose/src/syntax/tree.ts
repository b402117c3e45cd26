import type { Position } from '../problem.js';

/** The two tags that steer merging (Compose Specification, "Merge"). */
export type MergeTag = 'reset' | 'override';

/** A leaf. Whole numbers of a file are `bigint`, others `number`: as texts `1000000` and `1e6` differ. */
export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | bigint | boolean | null;
  readonly at: Position;
  readonly tag?: MergeTag;
}

/** A value under a key, and where the key stands. */
export interface Entry {
  readonly at: Position;
  readonly node: Tree;
}

/** Keys in the order of the file. */
export interface MappingNode {
  readonly kind: 'mapping';
  readonly entries: ReadonlyMap<string, Entry>;
  readonly at: Position;
  readonly tag?: MergeTag;
}

/** A list. */
export interface SequenceNode {
  readonly kind: 'sequence';
  readonly items: readonly Tree[];
  readonly at: Position;
  readonly tag?: MergeTag;
}

/** A Compose file between parsing and the typed project. Never changed in place: aliases share nodes. */
export type Tree = ScalarNode | MappingNode | SequenceNode;

/** A leaf at `at`. */
export function scalar(value: ScalarNode['value'], at: Position): ScalarNode {
  return { kind: 'scalar', value, at };
}

/** A mapping of `entries` that stands where `origin` stands and keeps its merge tag. */
export function mappingLike(origin: Tree, entries: Iterable<readonly [string, Entry]>): MappingNode {
  return { kind: 'mapping', entries: new Map(entries), at: origin.at, ...tagOf(origin) };
}

/** A sequence of `items` that stands where `origin` stands and keeps its merge tag. */
export function sequenceLike(origin: Tree, items: readonly Tree[]): SequenceNode {
  return { kind: 'sequence', items, at: origin.at, ...tagOf(origin) };
}

function tagOf(node: Tree): { tag?: MergeTag } {
  return node.tag === undefined ? {} : { tag: node.tag };
}

/** The value under `key`, when `node` is a mapping that has it. */
export function child(node: Tree | undefined, key: string): Tree | undefined {
  return node?.kind === 'mapping' ? node.entries.get(key)?.node : undefined;
}

/** Whether `node` is absent or null. */
export function isNull(node: Tree | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null);
}

/** `node` with `key` set to `value` (in place if it is there, else at the end). */
export function withEntry(node: MappingNode, key: string, value: Tree): MappingNode {
  const entries = new Map(node.entries);
  entries.set(key, { at: node.entries.get(key)?.at ?? value.at, node: value });
  return mappingLike(node, entries);
}

/** `node` without `keys`. */
export function withoutEntries(node: MappingNode, keys: readonly string[]): MappingNode {
  return mappingLike(
    node,
    [...node.entries].filter(([key]) => !keys.includes(key)),
  );
}

/** `path.key`, or `key` at the top. */
export function joinPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Plain data, as JSON would hold it. */
export type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

/** The plain value of `node`; whole numbers beyond 2⁵³ become strings. */
export function toPlain(node: Tree): Plain {
  if (node.kind === 'sequence') return node.items.map(toPlain);
  if (node.kind === 'mapping') {
    return Object.fromEntries([...node.entries].map(([key, entry]) => [key, toPlain(entry.node)]));
  }
  if (typeof node.value !== 'bigint') return node.value;
  const number = Number(node.value);
  return Number.isSafeInteger(number) ? number : node.value.toString();
}
