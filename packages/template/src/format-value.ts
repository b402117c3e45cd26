import { formatFloat, formatInteger } from './format-number.js';
import { quote, quoteChar } from './quote.js';
import { entriesOf, kindOf, sortedEntries, typeName } from './values.js';

/** One directive of a format: `%-10.3f` is `{ flags: '-', width: 10, precision: 3, verb: 'f' }`. */
export type Directive = { verb: string; flags: string; width: number | undefined; precision: number | undefined };

const DEPTH_LIMIT = 100;

/** The value as the directive prints it, padded; a verb that does not fit prints as `%!verb(type=value)`. */
export function formatValue(value: unknown, directive: Directive, depth = 0): string {
  if (depth > DEPTH_LIMIT) throw new Error('value is nested too deeply');
  const { verb } = directive;
  switch (kindOf(value)) {
    case 'nil':
      if (verb === 'v' && depth > 0 && directive.flags.includes('#')) return 'interface {}(nil)';
      return verb === 'v' || depth > 0 ? applyFlags('<nil>', directive) : `%!${verb}(<nil>)`;
    case 'bool':
      return verb === 'v' || verb === 't' ? applyFlags(String(value), directive) : badVerb(value, verb);
    case 'string':
      return formatString(value as string, directive);
    case 'int':
      return formatInt(value as number | bigint, directive);
    case 'float':
      return 'veEfFgG'.includes(verb)
        ? applyFlags(signed(formatFloat(value as number, directive), directive), directive, true)
        : badVerb(value, verb);
    case 'func':
      return badVerb('func', verb);
    default:
      return formatComposite(value as object, directive, depth);
  }
}

function badVerb(value: unknown, verb: string): string {
  const plain: Directive = { verb: 'v', flags: '', width: undefined, precision: undefined };
  return `%!${verb}(${typeName(value)}=${formatValue(value, plain)})`;
}

function formatString(value: string, directive: Directive): string {
  const { verb, flags, precision } = directive;
  const cut = precision === undefined ? value : [...value].slice(0, precision).join('');
  switch (verb) {
    case 'v':
      return applyFlags(flags.includes('#') ? quote(value) : cut, directive);
    case 's':
      return applyFlags(cut, directive);
    case 'q': {
      const raw = flags.includes('#') && /^(?:\t|[^`\p{Cc}\ufeff])*$/u.test(cut);
      return applyFlags(raw ? `\`${cut}\`` : quote(cut, flags.includes('+')), directive);
    }
    case 'x':
    case 'X': {
      const hex = Buffer.from(value).subarray(0, precision).toString('hex');
      const spaced = flags.includes(' ') ? (hex.match(/../g) ?? []).join(flags.includes('#') ? ' 0x' : ' ') : hex;
      const prefixed = flags.includes('#') && hex !== '' ? `0x${spaced}` : spaced;
      return applyFlags(verb === 'X' ? prefixed.toUpperCase() : prefixed, directive);
    }
    default:
      return badVerb(value, verb);
  }
}

function formatInt(value: number | bigint, directive: Directive): string {
  const { verb, flags } = directive;
  const code = Number(value);
  const char = code >= 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  switch (verb) {
    case 'c':
      return applyFlags(char, directive);
    case 'q':
      return applyFlags(quoteChar(code, flags.includes('+')), directive);
    case 'U': {
      const point = `U+${code
        .toString(16)
        .toUpperCase()
        .padStart(Math.max(4, directive.precision ?? 4), '0')}`;
      return applyFlags(flags.includes('#') ? `${point} '${char}'` : point, directive);
    }
    case 'v':
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X':
      return applyFlags(signed(formatInteger(BigInt(value), directive), directive), directive, true);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      // Data has no floats that are whole: a number is printed as either verb wants it.
      return applyFlags(signed(formatFloat(code, directive), directive), directive, true);
    default:
      return badVerb(value, verb);
  }
}

function formatComposite(value: object, directive: Directive, depth: number): string {
  const { verb, flags } = directive;
  const item = (inner: unknown): string => formatValue(inner, directive, depth + 1);
  const isData = ([, inner]: [string, unknown]): boolean => typeof inner !== 'function';
  const go = verb === 'v' && flags.includes('#');
  switch (kindOf(value)) {
    case 'slice': {
      const items = (value as unknown[]).map(item);
      return go ? `${typeName(value)}{${items.join(', ')}}` : `[${items.join(' ')}]`;
    }
    case 'struct': {
      const named = go || (verb === 'v' && flags.includes('+'));
      const fields = entriesOf(value).filter(isData);
      const items = fields.map(([name, inner]) => (named ? `${name}:${item(inner)}` : item(inner)));
      return go ? `${typeName(value)}{${items.join(', ')}}` : `{${items.join(' ')}}`;
    }
    default: {
      const items = sortedEntries(value).filter(isData);
      const pairs = items.map(([key, inner]) => `${item(key)}:${item(inner)}`);
      return go ? `${typeName(value)}{${pairs.join(', ')}}` : `map[${pairs.join(' ')}]`;
    }
  }
}

function signed(text: string, { flags, verb }: Directive): string {
  if (text.startsWith('-') || text.startsWith('+')) return text;
  // %+v asks for the names of fields, not for signs.
  if (flags.includes('+') && verb !== 'v') return `+${text}`;
  return flags.includes(' ') ? ` ${text}` : text;
}

/** Pads to the directive's width: on the right with `-`, with zeros after the sign for numbers with `0`. */
export function applyFlags(text: string, { flags, width, precision }: Directive, isNumber = false): string {
  if (width === undefined) return text;
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  const zeroes = flags.includes('0') && !(isNumber && precision !== undefined && /^[-+ ]?\d+$/.test(text));
  if (!zeroes) return ' '.repeat(missing) + text;
  const sign = isNumber && /^[-+ ]/.test(text) ? text[0]! : '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}
