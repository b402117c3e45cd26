import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { composeError, type Position } from '../problem.js';
import { resolvePlain } from './scalar.js';
import { type Entry, joinPath, type MappingNode, type MergeTag, type Tree } from './tree.js';

/** How many nodes a file may have once its aliases are followed: more is a bomb, not a stack. */
const MAX_NODES = 200_000;

/**
 * The documents of a YAML file, each a mapping; anchors, aliases, merge keys (`<<`) and explicit tags are resolved,
 * `!reset` and `!override` kept on their nodes. Empty documents are left out.
 * @throws SwarmdError `invalid-argument` with file, line and column: bad YAML, duplicate keys, a top level that is no mapping.
 */
export function parseYaml(file: string, content: string): MappingNode[] {
  const lines = new LineCounter();
  // "failsafe" leaves every plain scalar as text, so that the rules in scalar.ts alone decide its type.
  const documents = parseAllDocuments(content, {
    schema: 'failsafe',
    merge: false,
    lineCounter: lines,
    logLevel: 'silent',
    prettyErrors: false,
  });
  const trees: MappingNode[] = [];
  for (const document of documents as Document.Parsed[]) {
    const error = document.errors[0];
    if (error !== undefined)
      throw composeError('', `invalid YAML: ${error.message}`, position(file, lines, error.pos[0]));
    if (document.contents === null) continue;
    const tree = new Converter(file, lines).document(document.contents);
    if (tree.kind === 'mapping') trees.push(tree);
    else if (tree.kind !== 'scalar' || tree.value !== null) {
      throw composeError('', 'a Compose file is a mapping at its top level', tree.at);
    }
  }
  return trees;
}

function position(file: string, lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { file, line, column: col };
}

class Converter {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #anchors = new Map<string, Tree>();
  readonly #sizes = new Map<Tree, number>();

  constructor(file: string, lines: LineCounter) {
    this.#file = file;
    this.#lines = lines;
  }

  document(contents: Node): Tree {
    return this.#convert(contents, '');
  }

  #at(node: { range?: [number, number, number] | null | undefined }): Position {
    return position(this.#file, this.#lines, node.range?.[0] ?? 0);
  }

  #convert(node: Node | null, path: string): Tree {
    if (node === null) return { kind: 'scalar', value: null, at: { file: this.#file, line: 1, column: 1 } };
    if (isAlias(node)) return this.#alias(node, path);
    const tree = isMap(node)
      ? this.#mapping(node, path)
      : isSeq(node)
        ? this.#sequence(node, path)
        : this.#scalar(node as Scalar);
    const size = this.#measure(tree);
    if (size > MAX_NODES) throw composeError(path, `more than ${MAX_NODES} values once aliases are followed`, tree.at);
    this.#sizes.set(tree, size);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, tree);
    return tree;
  }

  #measure(tree: Tree): number {
    const children =
      tree.kind === 'mapping'
        ? [...tree.entries.values()].map((e) => e.node)
        : tree.kind === 'sequence'
          ? tree.items
          : [];
    return children.reduce((total, node) => total + (this.#sizes.get(node) ?? 1), 1);
  }

  #alias(node: Alias, path: string): Tree {
    const tree = this.#anchors.get(node.source);
    if (tree === undefined) throw composeError(path, `alias *${node.source} has no anchor before it`, this.#at(node));
    return tree;
  }

  #scalar(node: Scalar): Tree {
    const source = String(node.value);
    const value = node.type === 'PLAIN' && node.tag !== 'tag:yaml.org,2002:str' ? resolvePlain(source) : source;
    const typed = typeof value === 'string' ? fromTag(node.tag, source) : value;
    return { kind: 'scalar', value: typed, at: this.#at(node), ...mergeTag(node.tag) };
  }

  #sequence(node: YAMLSeq, path: string): Tree {
    const items = node.items.map((item, index) => this.#convert(item as Node | null, `${path}[${index}]`));
    return { kind: 'sequence', items, at: this.#at(node), ...mergeTag(node.tag) };
  }

  #mapping(node: YAMLMap, path: string): Tree {
    const own = new Map<string, Entry>();
    const inherited: Tree[] = [];
    for (const pair of node.items) {
      if (!isPair(pair)) continue;
      const key = pair.key as Node;
      const at = this.#at(key);
      if (!isScalar(key) || String(key.value) === '') throw composeError(path, 'a key must be a non-empty text', at);
      const name = String(key.value);
      const converted = this.#convert(pair.value as Node | null, name === '<<' ? path : joinPath(path, name));
      const value = pair.value === null ? { ...converted, at } : converted;
      if (name === '<<' && key.type === 'PLAIN') inherited.push(...mergeSources(value, path));
      else own.set(name, { at, node: value });
    }
    const entries = new Map<string, Entry>();
    for (const source of inherited) {
      if (source.kind !== 'mapping') continue;
      for (const [name, entry] of source.entries) if (!entries.has(name)) entries.set(name, entry);
    }
    for (const [name, entry] of own) entries.set(name, entry);
    return { kind: 'mapping', entries, at: this.#at(node), ...mergeTag(node.tag) };
  }
}

function mergeSources(value: Tree, path: string): Tree[] {
  const sources = value.kind === 'sequence' ? [...value.items] : [value];
  for (const source of sources) {
    if (source.kind !== 'mapping') throw composeError(path, '`<<` takes a mapping or a list of mappings', source.at);
  }
  return sources;
}

function mergeTag(tag: string | undefined): { tag?: MergeTag } {
  return tag === '!reset' ? { tag: 'reset' } : tag === '!override' ? { tag: 'override' } : {};
}

function fromTag(tag: string | undefined, source: string): string | number | bigint | boolean | null {
  const explicit = ['int', 'float', 'bool', 'null'].some((name) => tag === `tag:yaml.org,2002:${name}`);
  return explicit ? resolvePlain(source) : source;
}
