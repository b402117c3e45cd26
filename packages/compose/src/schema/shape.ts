import type { Problem } from '../problem.js';
import { joinPath, type Tree, toPlain } from '../syntax/tree.js';

/** Kinds of leaves. `integer` and `number` also take numeric text, since interpolation yields text. */
export type Leaf = 'string' | 'number' | 'integer' | 'boolean' | 'null';

/** What a part of a Compose file may look like. */
export type Shape =
  | { is: 'leaf'; types: readonly Leaf[]; values?: readonly string[]; pattern?: RegExp }
  | { is: 'list'; of: Shape; unique: boolean }
  | { is: 'object'; keys: Readonly<Record<string, Shape>>; required: readonly string[] }
  | { is: 'map'; of: Shape; pattern?: RegExp }
  | { is: 'any' }
  | { is: 'either'; shapes: readonly Shape[] };

/** A leaf of one of `types`. */
export function leaf(...types: Leaf[]): Shape {
  return { is: 'leaf', types };
}

/** One of some words. */
export function word(...values: string[]): Shape {
  return { is: 'leaf', types: ['string'], values };
}

/** A text that matches `pattern`. */
export function textLike(pattern: RegExp): Shape {
  return { is: 'leaf', types: ['string'], pattern };
}

/** A list. */
export function list(of: Shape): Shape {
  return { is: 'list', of, unique: false };
}

/** A list that holds nothing twice. */
export function distinctList(of: Shape): Shape {
  return { is: 'list', of, unique: true };
}

/** A mapping whose keys the specification fixes; `x-` keys may always be added. */
export function object(keys: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  return { is: 'object', keys, required };
}

/** A mapping whose keys the user chooses. */
export function map(of: Shape, pattern?: RegExp): Shape {
  return pattern === undefined ? { is: 'map', of } : { is: 'map', of, pattern };
}

/** One of several shapes, told apart by being leaf, list or mapping. */
export function either(...shapes: Shape[]): Shape {
  return { is: 'either', shapes };
}

/** Anything. */
export const anything: Shape = { is: 'any' };

/** What in `tree` does not fit `shape`, in the order of the file. Values tagged `!reset` are not looked at. */
export function checkShape(tree: Tree, shape: Shape, path = ''): Problem[] {
  const problems: Problem[] = [];
  check(tree, shape, path, problems);
  return problems;
}

function check(node: Tree, shape: Shape, path: string, problems: Problem[]): void {
  if (node.tag === 'reset') return;
  const problem = (message: string, at = node.at, where = path) =>
    problems.push({ path: where, message, severity: 'error', at });
  switch (shape.is) {
    case 'any':
      return;
    case 'either': {
      const fitting = shape.shapes.find((candidate) => fits(node, candidate));
      if (fitting === undefined) problem(`expected ${shape.shapes.map(describe).join(' or ')}, found ${found(node)}`);
      else check(node, fitting, path, problems);
      return;
    }
    case 'leaf':
      if (!fits(node, shape)) problem(`expected ${describe(shape)}, found ${found(node)}`);
      else checkLeaf(node, shape, problem);
      return;
    case 'list':
      if (node.kind !== 'sequence') problem(`expected ${describe(shape)}, found ${found(node)}`);
      else checkItems(node, shape, path, problems);
      return;
    case 'map':
    case 'object':
      if (node.kind !== 'mapping') problem(`expected ${describe(shape)}, found ${found(node)}`);
      else checkKeys(node, shape, path, problems);
      return;
  }
}

function checkItems(
  node: Tree & { kind: 'sequence' },
  shape: Shape & { is: 'list' },
  path: string,
  problems: Problem[],
): void {
  const seen = new Map<string, number>();
  node.items.forEach((item, index) => {
    const where = `${path}[${index}]`;
    check(item, shape.of, where, problems);
    if (!shape.unique) return;
    const key = JSON.stringify(toPlain(item));
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, index);
    else problems.push({ path: where, message: `the same as item ${earlier}`, severity: 'error', at: item.at });
  });
}

type Complain = (message: string) => void;

function checkLeaf(node: Tree, shape: Shape & { is: 'leaf' }, problem: Complain): void {
  if (node.kind !== 'scalar' || typeof node.value !== 'string') return;
  if (shape.values !== undefined && !shape.values.includes(node.value)) {
    problem(`${JSON.stringify(node.value)} is none of ${shape.values.join(', ')}`);
  }
  if (shape.pattern !== undefined && !shape.pattern.test(node.value)) {
    problem(`${JSON.stringify(node.value)} does not match ${shape.pattern.source}`);
  }
}

function checkKeys(
  node: Tree & { kind: 'mapping' },
  shape: Shape & { is: 'map' | 'object' },
  path: string,
  problems: Problem[],
): void {
  for (const [key, entry] of node.entries) {
    const where = joinPath(path, key);
    if (shape.is === 'map') {
      if (shape.pattern !== undefined && !shape.pattern.test(key)) {
        const message = `the name does not match ${shape.pattern.source}`;
        problems.push({ path: where, message, severity: 'error', at: entry.at });
      }
      check(entry.node, shape.of, where, problems);
    } else if (Object.hasOwn(shape.keys, key)) check(entry.node, shape.keys[key]!, where, problems);
    else if (!key.startsWith('x-')) {
      const near = nearest(key, Object.keys(shape.keys));
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      problems.push({ path: where, message: `unknown key${hint}`, severity: 'error', at: entry.at });
    }
  }
  if (shape.is === 'map') return;
  for (const key of shape.required) {
    if (!node.entries.has(key)) problems.push({ path, message: `${key} is required`, severity: 'error', at: node.at });
  }
}

function fits(node: Tree, shape: Shape): boolean {
  switch (shape.is) {
    case 'any':
      return true;
    case 'either':
      return shape.shapes.some((candidate) => fits(node, candidate));
    case 'list':
      return node.kind === 'sequence';
    case 'map':
    case 'object':
      return node.kind === 'mapping';
    case 'leaf':
      return node.kind === 'scalar' && shape.types.some((type) => fitsLeaf(node.value, type));
  }
}

function fitsLeaf(value: unknown, type: Leaf): boolean {
  if (type === 'null') return value === null;
  if (type === 'integer') return typeof value === 'bigint' || Number.isInteger(value);
  if (type === 'number') return typeof value === 'number' || typeof value === 'bigint';
  return typeof value === type;
}

function describe(shape: Shape): string {
  switch (shape.is) {
    case 'any':
      return 'anything';
    case 'either':
      return shape.shapes.map(describe).join(' or ');
    case 'list':
      return 'a list';
    case 'map':
    case 'object':
      return 'a mapping';
    case 'leaf':
      return shape.types.map((type) => LEAF_NAMES[type]).join(' or ');
  }
}

const LEAF_NAMES: Readonly<Record<Leaf, string>> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'nothing',
};

function found(node: Tree): string {
  if (node.kind !== 'scalar') return node.kind === 'sequence' ? 'a list' : 'a mapping';
  if (node.value === null) return 'nothing';
  if (typeof node.value === 'string') return `the text ${JSON.stringify(node.value)}`;
  const quoting = typeof node.value === 'boolean' ? '' : ' (put it in quotes to make it a text)';
  return `${typeof node.value === 'boolean' ? '' : 'the number '}${String(node.value)}${quoting}`;
}

function nearest(key: string, known: readonly string[]): string | undefined {
  const candidates = known.map((name) => ({ name, distance: editDistance(key, name) }));
  const best = candidates.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(key.length / 4)) ? best.name : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length]!;
}
