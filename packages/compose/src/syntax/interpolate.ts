import { composeError, type Position, type Report } from '../problem.js';
import { joinPath, mappingLike, sequenceLike, type Tree } from './tree.js';

/** Variables by name. */
export type Env = Readonly<Record<string, string | undefined>>;

/** How deep `${A:-${B:-…}}` may nest. */
const MAX_DEPTH = 64;

const NAME = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const OPERATOR = /:?[-?+]/y;

/** What goes wrong while a text is interpolated; the caller adds path and position. */
export interface InterpolationSink {
  /** Called once for each variable that is not set and has no alternative: it becomes the empty string. */
  unset(name: string): void;
  /** Called for what cannot be interpolated; must throw. */
  fail(message: string): never;
}

/**
 * `text` with its variables replaced: `$V`, `${V}`, `${V:-default}`, `${V-default}`, `${V:?message}`, `${V?message}`,
 * `${V:+replacement}`, `${V+replacement}`, nested in each other, `$$` for a dollar sign; with the colon an empty value
 * counts as unset. Only the alternative that is taken is evaluated. A `$` that starts no variable stays.
 * Source: Compose Specification, "Interpolation".
 */
export function interpolateText(text: string, env: Env, sink: InterpolationSink): string {
  return new Interpolator(text, env, sink).run();
}

class Interpolator {
  readonly #text: string;
  readonly #env: Env;
  readonly #sink: InterpolationSink;
  #index = 0;

  constructor(text: string, env: Env, sink: InterpolationSink) {
    this.#text = text;
    this.#env = env;
    this.#sink = sink;
  }

  run(): string {
    return this.#words(0, true);
  }

  /** Reads up to the closing brace of the enclosing `${`, or to the end at depth 0. `live` is false in branches not taken. */
  #words(depth: number, live: boolean): string {
    let out = '';
    while (this.#index < this.#text.length) {
      const char = this.#text[this.#index]!;
      if (char === '}' && depth > 0) return out;
      if (char !== '$') {
        out += char;
        this.#index++;
      } else out += this.#dollar(depth, live);
    }
    if (depth > 0) this.#sink.fail(`"\${" without its closing brace in ${JSON.stringify(this.#text)}`);
    return out;
  }

  #dollar(depth: number, live: boolean): string {
    const next = this.#text[this.#index + 1];
    if (next === '$') {
      this.#index += 2;
      return '$';
    }
    if (next === '{') return this.#braced(depth + 1, live);
    this.#index++;
    const name = this.#match(NAME);
    return name === undefined ? '$' : this.#value(name, live);
  }

  #braced(depth: number, live: boolean): string {
    if (depth > MAX_DEPTH) this.#sink.fail(`variables nest deeper than ${MAX_DEPTH} in ${JSON.stringify(this.#text)}`);
    this.#index += 2;
    const name = this.#match(NAME) ?? this.#invalid();
    const operator = this.#match(OPERATOR);
    if (operator === undefined) {
      if (this.#text[this.#index] !== '}') this.#invalid();
      this.#index++;
      return this.#value(name, live);
    }
    const value = this.#lookup(name);
    const isSet = value !== undefined && (value !== '' || operator.length === 1);
    const takesWord = operator.endsWith('+') ? isSet : !isSet;
    const word = this.#words(depth, live && takesWord);
    this.#index++;
    if (operator.endsWith('+')) return isSet ? word : '';
    if (isSet) return value;
    if (operator.endsWith('-') || !live) return word;
    return this.#sink.fail(`required variable ${name} is missing a value${word === '' ? '' : `: ${word}`}`);
  }

  #value(name: string, live: boolean): string {
    const value = this.#lookup(name);
    if (value === undefined && live) this.#sink.unset(name);
    return value ?? '';
  }

  #lookup(name: string): string | undefined {
    return Object.hasOwn(this.#env, name) ? this.#env[name] : undefined;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#index;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#index += found.length;
    return found;
  }

  #invalid(): never {
    return this.#sink.fail(
      `cannot interpolate ${JSON.stringify(this.#text)}: after "\${" come a name and at most one of :- - :? ? :+ + ` +
        '(write $$ for a dollar sign)',
    );
  }
}

/**
 * `tree` with every text value interpolated (keys are left alone). Types are cast afterwards by whoever reads the value.
 * @throws SwarmdError `invalid-argument` for malformed variables and required ones without a value.
 */
export function interpolateTree(tree: Tree, env: Env, report: Report): Tree {
  return walk(tree, '', env, report);
}

function walk(node: Tree, path: string, env: Env, report: Report): Tree {
  if (node.kind === 'mapping') {
    const entries = [...node.entries].map(
      ([key, entry]) => [key, { at: entry.at, node: walk(entry.node, joinPath(path, key), env, report) }] as const,
    );
    return mappingLike(node, entries);
  }
  if (node.kind === 'sequence') {
    return sequenceLike(
      node,
      node.items.map((item, index) => walk(item, `${path}[${index}]`, env, report)),
    );
  }
  if (typeof node.value !== 'string' || !node.value.includes('$')) return node;
  return { ...node, value: interpolateText(node.value, env, sinkFor(path, node.at, report)) };
}

function sinkFor(path: string, at: Position, report: Report): InterpolationSink {
  return {
    unset: (name) =>
      report({ path, at, severity: 'warning', message: `variable ${name} is not set, so it becomes an empty text` }),
    fail: (message) => {
      throw composeError(path, message, at);
    },
  };
}
