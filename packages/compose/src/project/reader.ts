import { textOf } from '../canonical/build.js';
import { composeError } from '../problem.js';
import { child, isNull, joinPath, type Plain, type Tree, toPlain } from '../syntax/tree.js';
import { parseBytes, parseDurationNs, parseFlag, parseNanoCpus } from './quantities.js';

/**
 * Typed reading of a canonical tree: the type casts that follow interpolation. Absent and null values are undefined;
 * a value that cannot be cast throws `invalid-argument` with path and position.
 */
export class Reader {
  readonly node: Tree | undefined;
  readonly path: string;

  constructor(node: Tree | undefined, path: string) {
    this.node = node;
    this.path = path;
  }

  /** The value under `key`; it may be absent. */
  at(key: string): Reader {
    return new Reader(child(this.node, key), joinPath(this.path, key));
  }

  /** Whether `key` is there with a value. */
  has(key: string): boolean {
    return !isNull(child(this.node, key));
  }

  /** The items of the list under `key`. */
  items(key: string): Reader[] {
    const node = child(this.node, key);
    if (node?.kind !== 'sequence') return [];
    return node.items.map((item, index) => new Reader(item, `${joinPath(this.path, key)}[${index}]`));
  }

  /** Keys and values of this mapping. */
  entries(): [string, Reader][] {
    if (this.node?.kind !== 'mapping') return [];
    return [...this.node.entries].map(([key, entry]) => [key, new Reader(entry.node, joinPath(this.path, key))]);
  }

  /** This leaf as text. */
  value(): string | undefined {
    return textOf(this.node);
  }

  /** This value as plain data. */
  plain(): Plain {
    return this.node === undefined ? null : toPlain(this.node);
  }

  text(key: string): string | undefined {
    return this.at(key).value();
  }

  texts(key: string): string[] {
    return this.items(key).map((item) => item.value() ?? '');
  }

  flag(key: string): boolean | undefined {
    return this.#cast(key, parseFlag, 'true or false');
  }

  integer(key: string): number | undefined {
    return this.#cast(key, (text) => (/^[-+]?[0-9]+$/.test(text) ? Number(text) : undefined), 'a whole number');
  }

  decimal(key: string): number | undefined {
    const parse = (text: string) => (text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text));
    return this.#cast(key, parse, 'a number');
  }

  /** Nanoseconds. */
  durationNs(key: string): number | undefined {
    return this.#cast(key, parseDurationNs, 'a duration with units, such as 1m30s');
  }

  /** Bytes. */
  bytes(key: string): number | undefined {
    return this.#cast(key, parseBytes, 'a size in bytes, such as 512M');
  }

  /** Billionths of a core. */
  nanoCpus(key: string): number | undefined {
    return this.#cast(key, parseNanoCpus, 'a number of cores with at most nine decimals');
  }

  /** A file mode: a YAML number as it is (`0440` is octal there), a text in octal. */
  fileMode(key: string): number | undefined {
    const node = child(this.node, key);
    if (node?.kind === 'scalar' && (typeof node.value === 'number' || typeof node.value === 'bigint'))
      return Number(node.value);
    return this.#cast(
      key,
      (text) => (/^(?:0o?)?[0-7]+$/.test(text) ? Number.parseInt(text.replace(/^0o/, ''), 8) : undefined),
      'an octal file mode',
    );
  }

  /** Pairs of texts; null is the empty text. */
  labels(key: string): Record<string, string> {
    return Object.fromEntries(
      this.at(key)
        .entries()
        .map(([name, value]) => [name, value.value() ?? '']),
    );
  }

  #cast<T>(key: string, parse: (text: string) => T | undefined, expected: string): T | undefined {
    const { node, path } = this.at(key);
    const text = textOf(node);
    if (text === undefined || (text === '' && node?.kind === 'scalar' && node.value === '')) return undefined;
    const value = parse(text);
    if (value === undefined) throw composeError(path, `${JSON.stringify(text)} is not ${expected}`, node?.at);
    return value;
  }
}

/** `record` without its undefined values, so that "not said" is an absent key. */
export function defined<T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never;
}
