const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Whether Go's strconv.IsPrint holds for one code point. */
export function isPrintable(char: string): boolean {
  return PRINTABLE.test(char);
}

function escapeChar(char: string, quote: string, asciiOnly: boolean): string {
  if (char === quote) return `\\${quote}`;
  const short = SHORT_ESCAPES[char];
  if (short !== undefined) return short;
  const code = char.codePointAt(0)!;
  if (isPrintable(char) && !(asciiOnly && code > 0x7e)) return char;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code >= 0xd800 && code <= 0xdfff) return '\\ufffd';
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}

/** `text` as a Go string literal (strconv.Quote; with `asciiOnly`, strconv.QuoteToASCII). */
export function quote(text: string, asciiOnly = false): string {
  let out = '"';
  for (const char of text) out += escapeChar(char, '"', asciiOnly);
  return `${out}"`;
}

/** The code point as a Go character literal (strconv.QuoteRune). */
export function quoteChar(code: number, asciiOnly = false): string {
  const char = code >= 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  return `'${escapeChar(char, "'", asciiOnly)}'`;
}

const UNESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([\s\S]?))/g;

/**
 * The value of a Go literal: "interpreted", `raw` or 'c' with its quotes; undefined where Go says "invalid syntax".
 * Bytes above 0x7f written as `\xNN` or `\NNN` join to UTF-8.
 */
export function unquote(literal: string): string | undefined {
  const mark = literal[0];
  const body = literal.slice(1, -1);
  if (mark === '`') return body.replaceAll('\r', '');
  const bytes: Buffer[] = [];
  let last = 0;
  for (const match of body.matchAll(ESCAPE)) {
    bytes.push(Buffer.from(body.slice(last, match.index)));
    last = match.index + match[0].length;
    const piece = unescapeMatch(match, mark === '"' ? "'" : '"');
    if (piece === undefined) return undefined;
    bytes.push(piece);
  }
  bytes.push(Buffer.from(body.slice(last)));
  return Buffer.concat(bytes).toString('utf8');
}

function unescapeMatch(match: RegExpMatchArray, foreignQuote: string): Buffer | undefined {
  const [, hex, short, long, octal, letter] = match;
  if (hex !== undefined) return Buffer.from([Number.parseInt(hex, 16)]);
  if (octal !== undefined) {
    const code = Number.parseInt(octal, 8);
    return code > 255 ? undefined : Buffer.from([code]);
  }
  const wide = short ?? long;
  if (wide !== undefined) {
    const code = Number.parseInt(wide, 16);
    return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? undefined : Buffer.from(String.fromCodePoint(code));
  }
  if (letter === undefined || letter === foreignQuote) return undefined;
  const char = UNESCAPES[letter];
  return char === undefined ? undefined : Buffer.from(char);
}
