import { parseDurationNs } from '../text/durations.js';
import { parseBytes, parseNanoCpus } from '../text/quantities.js';
import { splitWords } from '../text/shell-words.js';

/** One option of a command: how its text becomes a value and how help shows it. `T` is the value a command sees. */
export interface Flag<T> {
  /** The word after the flag in help (`string`, `list`, `duration` …); empty for switches. */
  readonly typeName: string;
  readonly usage: string;
  readonly short?: string;
  /** Shown as `(default …)`; quotes are part of it. */
  readonly defaultText?: string;
  /** The value when the flag is not given. */
  readonly initial: T;
  /** The value after one more use of the flag; throws an Error whose message says what is wrong with the text. */
  parse(text: string, current: T): T;
  /** Words that a shell offers for the value. */
  readonly words?: readonly string[];
}

/** What most flags add to their usage text. */
export interface FlagOptions {
  short?: string;
  defaultText?: string;
  words?: readonly string[];
  /** The word after the flag in help. */
  typeName?: string;
}

/** A flag with a parser of its own. */
export function custom<T>(
  typeName: string,
  usage: string,
  initial: T,
  parse: (text: string, current: T) => T,
  options: FlagOptions = {},
): Flag<T> {
  return { typeName, usage, initial, parse, ...options };
}

/** A switch: `--x`, `--x=false`. */
export function bool(usage: string, options: FlagOptions & { initial?: boolean } = {}): Flag<boolean> {
  const { initial = false, ...rest } = options;
  return {
    typeName: '',
    usage,
    initial,
    parse: parseBool,
    ...(initial ? { defaultText: 'true' } : {}),
    ...rest,
  };
}

/** Free text; absent when not given. */
export function text(usage: string, options: FlagOptions = {}): Flag<string | undefined> {
  return custom<string | undefined>('string', usage, undefined, (value) => value, options);
}

/** A text each time it is given. */
export function list(usage: string, options: FlagOptions & { check?: (value: string) => string } = {}): Flag<string[]> {
  const { check = (value: string) => value, ...rest } = options;
  return custom<string[]>('list', usage, [], (value, current) => [...current, check(value)], rest);
}

/** Texts, several at once with commas between. */
export function strings(usage: string, options: FlagOptions = {}): Flag<string[]> {
  return custom<string[]>('strings', usage, [], (value, current) => [...current, ...value.split(',')], options);
}

/** A whole number from 0. */
export function uint(usage: string, options: FlagOptions = {}): Flag<number | undefined> {
  return custom<number | undefined>('uint', usage, undefined, (value) => parseInteger(value, 'ParseUint'), options);
}

/** A whole number. */
export function int(usage: string, options: FlagOptions = {}): Flag<number | undefined> {
  return custom<number | undefined>('int', usage, undefined, (value) => parseInteger(value, 'ParseInt'), options);
}

/** A fraction. */
export function float(usage: string, options: FlagOptions = {}): Flag<number | undefined> {
  const parse = (value: string): number => {
    const number = Number(value);
    if (value.trim() === '' || Number.isNaN(number)) {
      throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    return number;
  };
  return custom<number | undefined>('float', usage, undefined, parse, options);
}

/** A length of time as Go writes it (`1m30s`), in nanoseconds. */
export function duration(usage: string, options: FlagOptions & { positive?: boolean } = {}): Flag<number | undefined> {
  const { positive = false, ...rest } = options;
  const parse = (value: string): number => {
    const ns = parseDurationNs(value);
    if (positive && ns < 0) throw new Error('duration cannot be negative');
    return ns;
  };
  return custom<number | undefined>('duration', usage, undefined, parse, rest);
}

/** An amount of memory (`512m`), in bytes. */
export function bytes(usage: string): Flag<number | undefined> {
  return custom<number | undefined>('bytes', usage, undefined, parseBytes);
}

/** A number of CPUs (`1.5`), in units of 10⁻⁹. */
export function cpus(usage: string): Flag<number | undefined> {
  return custom<number | undefined>('decimal', usage, undefined, parseNanoCpus);
}

/** A command line, split as a shell would. */
export function words(usage: string): Flag<string[] | undefined> {
  return custom<string[] | undefined>('command', usage, undefined, splitWords);
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

function parseBool(value: string): boolean {
  if (TRUE.has(value)) return true;
  if (FALSE.has(value)) return false;
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function parseInteger(value: string, routine: 'ParseUint' | 'ParseInt'): number {
  const pattern = routine === 'ParseUint' ? /^\d+$/ : /^[-+]?\d+$/;
  if (!pattern.test(value)) throw new Error(`strconv.${routine}: parsing ${JSON.stringify(value)}: invalid syntax`);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new Error(`strconv.${routine}: parsing ${JSON.stringify(value)}: value out of range`);
  }
  return number;
}
