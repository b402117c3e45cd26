import { BUILTIN_FUNCTIONS } from './builtin-functions.js';
import { fixed, type TemplateFunctions } from './functions.js';
import { entriesOf, kindOf, sortedEntries } from './values.js';

const DEPTH_LIMIT = 100;
const PADDING_LIMIT = 1_000_000;

/** Whether an object is one of the API's structs, whose fields Go writes in their own order; maps it sorts. */
function keepsOrder(value: object): boolean {
  return kindOf(value) === 'struct' || entriesOf(value).every(([key]) => /^[A-Z]/.test(key));
}

function takesArguments(value: unknown): boolean {
  return typeof value === 'function' && value.length > 0;
}

/**
 * The value as Go's encoding/json writes it for docker's `json` function: HTML is not escaped, maps are sorted by key,
 * objects whose keys all begin with a capital keep their order, functions are called for their value, and those that
 * take arguments are left out.
 */
export function toGoJson(value: unknown, depth = 0): string {
  if (depth > DEPTH_LIMIT) throw new Error('value is nested too deeply');
  switch (kindOf(value)) {
    case 'nil':
      return 'null';
    case 'string':
      return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
    case 'float':
      if (!Number.isFinite(value)) throw new Error(`json: unsupported value: ${value}`);
      return String(value);
    case 'func':
      return toGoJson((value as () => unknown)(), depth + 1);
    case 'slice':
      return `[${(value as unknown[]).map((item) => toGoJson(item, depth + 1)).join(',')}]`;
    case 'map':
    case 'struct': {
      const entries = keepsOrder(value as object) ? entriesOf(value as object) : sortedEntries(value as object);
      const present = entries.filter(([, item]) => item !== undefined && !takesArguments(item));
      return `{${present.map(([key, item]) => `${toGoJson(key)}:${toGoJson(item, depth + 1)}`).join(',')}}`;
    }
    default:
      return String(value);
  }
}

function split(text: string, separator: string): string[] {
  return separator === '' ? [...text] : text.split(separator);
}

/** Go's strings.Title: letters become capitals after a space and after ASCII that is no letter, digit or `_`. */
function title(text: string): string {
  return text.replace(/(?<![A-Za-z0-9_]|[^\p{ASCII}\s])\p{L}/gu, (letter) => letter.toUpperCase());
}

function pad(text: string, before: number, after: number): string {
  if (text === '') return text;
  if (before < 0 || after < 0) throw new Error('strings: negative Repeat count');
  if (before + after > PADDING_LIMIT) throw new Error(`padding of more than ${PADDING_LIMIT} spaces`);
  return ' '.repeat(before) + text + ' '.repeat(after);
}

function truncate(text: string, lengthBytes: number): string {
  if (lengthBytes < 0) throw new Error(`slice bounds out of range [:${lengthBytes}]`);
  const bytes = Buffer.from(text);
  return bytes.length < lengthBytes ? text : bytes.subarray(0, lengthBytes).toString('utf8');
}

/** The functions that the docker CLI adds to Go's for `--format` (Docker's "Format command and log output"). */
export const DOCKER_FUNCTIONS: TemplateFunctions = {
  json: fixed(['any'], (value) => toGoJson(value)),
  split: fixed(['string', 'string'], split),
  join: fixed(['[]string', 'string'], (items, separator) => (items ?? []).join(separator)),
  title: fixed(['string'], title),
  lower: fixed(['string'], (text) => text.toLowerCase()),
  upper: fixed(['string'], (text) => text.toUpperCase()),
  pad: fixed(['string', 'int', 'int'], pad),
  truncate: fixed(['string', 'int'], truncate),
  println: BUILTIN_FUNCTIONS['println']!,
};

/**
 * What stands in for docker's functions while a table's header is written, so that the name of a column stays as it is:
 * `pad` and `println` alone do their work there too.
 */
export const HEADER_FUNCTIONS: TemplateFunctions = {
  ...DOCKER_FUNCTIONS,
  json: fixed(['string'], (text) => text),
  split: fixed(['string', 'string'], (text) => text),
  join: fixed(['string', 'string'], (text) => text),
  title: fixed(['string'], (text) => text),
  lower: fixed(['string'], (text) => text),
  upper: fixed(['string'], (text) => text),
  truncate: fixed(['string', 'int'], (text) => text),
};
