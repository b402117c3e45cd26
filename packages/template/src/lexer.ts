import { isPrintable, quote } from './quote.js';

/** The kinds of token in a template. */
export type TokenKind =
  | 'text'
  | 'leftDelim'
  | 'rightDelim'
  | 'space'
  | 'identifier'
  | 'keyword'
  | 'field'
  | 'variable'
  | 'dot'
  | 'nil'
  | 'bool'
  | 'number'
  | 'char'
  | 'charConstant'
  | 'string'
  | 'rawString'
  | 'pipe'
  | 'leftParen'
  | 'rightParen'
  | 'assign'
  | 'declare'
  | 'error'
  | 'eof';

/** One token; `offset` in UTF-16 units, `line` from 1. An `error` token holds the message and ends the list. */
export type Token = { kind: TokenKind; value: string; offset: number; line: number };

const KEYWORDS: ReadonlySet<string> = new Set('block break continue define else end if range template with'.split(' '));
const SPACE = /[ \t\r\n]/;
const WORD = /[\p{L}\p{Nd}_]*/uy;
const NUMBER = /[+-]?(?:0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)/y;
const QUOTED: Readonly<Record<string, { pattern: RegExp; kind: TokenKind; name: string }>> = {
  '"': { pattern: /"(?:[^"\\\n]|\\[^\n])*"/y, kind: 'string', name: 'quoted string' },
  "'": { pattern: /'(?:[^'\\\n]|\\[^\n])*'/y, kind: 'charConstant', name: 'character constant' },
  '`': { pattern: /`[^`]*`/y, kind: 'rawString', name: 'raw quoted string' },
};

/** The token as error messages show it. */
export function describeToken(token: Token): string {
  if (token.kind === 'eof') return 'EOF';
  if (token.kind === 'error') return token.value;
  if (token.kind === 'keyword' || token.kind === 'dot' || token.kind === 'nil') return `<${token.value}>`;
  return token.value.length > 10 ? `${quote(token.value.slice(0, 10))}...` : quote(token.value);
}

/** Splits a template into tokens; text between actions comes trimmed by `{{-` and `-}}`, comments are gone. */
export function tokenize(source: string): Token[] {
  const lexer = new Lexer(source);
  lexer.run();
  return lexer.tokens;
}

class Lexer {
  readonly tokens: Token[] = [];
  private readonly source: string;
  private offset = 0;
  private line = 1;
  private lineOffset = 0;
  private failed = false;

  constructor(source: string) {
    this.source = source;
  }

  run(): void {
    let trimNext = false;
    while (!this.failed) {
      const open = this.source.indexOf('{{', this.offset);
      const end = open === -1 ? this.source.length : open;
      const trimBefore = open !== -1 && this.source[open + 2] === '-' && SPACE.test(this.source[open + 3] ?? '');
      this.emitText(end, trimNext, trimBefore);
      if (open === -1) break;
      this.offset = open + 2 + (trimBefore ? 2 : 0);
      trimNext = this.source.startsWith('/*', this.offset) ? this.skipComment() : this.action(open);
    }
    if (!this.failed) this.emit('eof', this.source.length, '');
  }

  private emitText(end: number, trimStart: boolean, trimEnd: boolean): void {
    let text = this.source.slice(this.offset, end);
    let start = this.offset;
    if (trimStart) {
      const kept = text.replace(/^[ \t\r\n]+/, '');
      start += text.length - kept.length;
      text = kept;
    }
    if (trimEnd) text = text.replace(/[ \t\r\n]+$/, '');
    if (text !== '') this.emit('text', start, text);
    this.offset = end;
  }

  /** Returns whether the comment's end trims the text after it. */
  private skipComment(): boolean {
    const close = this.source.indexOf('*/', this.offset);
    if (close === -1) return this.fail('unclosed comment');
    this.offset = close + 2;
    const trim = /[ \t\r\n]-\}\}/y;
    trim.lastIndex = this.offset;
    const trims = trim.test(this.source);
    if (!trims && !this.source.startsWith('}}', this.offset)) return this.fail('comment ends before closing delimiter');
    this.offset += trims ? 4 : 2;
    return trims;
  }

  /** Returns whether the action's end trims the text after it. */
  private action(open: number): boolean {
    this.emit('leftDelim', open, '{{');
    let parens = 0;
    while (!this.failed) {
      const close = this.rightDelim();
      if (close !== undefined) {
        if (parens > 0) return this.fail('unclosed left paren');
        this.emit('rightDelim', close.trims ? this.offset + 2 : this.offset, '}}');
        this.offset += close.trims ? 4 : 2;
        return close.trims;
      }
      const before = this.tokens.length;
      this.insideAction();
      const kind = this.tokens.length > before ? this.tokens.at(-1)!.kind : undefined;
      if (kind === 'leftParen') parens++;
      if (kind === 'rightParen' && --parens < 0) {
        this.tokens.pop();
        return this.fail('unexpected right paren');
      }
    }
    return false;
  }

  private rightDelim(): { trims: boolean } | undefined {
    if (this.source.startsWith('}}', this.offset)) return { trims: false };
    const trims = SPACE.test(this.source[this.offset] ?? '') && this.source.startsWith('-}}', this.offset + 1);
    return trims ? { trims } : undefined;
  }

  private insideAction(): void {
    const char = String.fromCodePoint(this.source.codePointAt(this.offset) ?? 0);
    if (this.offset >= this.source.length) this.fail('unclosed action');
    else if (SPACE.test(char)) this.space();
    else if (char === '=') this.take('assign', 1);
    else if (char === ':') this.source[this.offset + 1] === '=' ? this.take('declare', 2) : this.fail('expected :=');
    else if (char === '|') this.take('pipe', 1);
    else if (char === '(') this.take('leftParen', 1);
    else if (char === ')') this.take('rightParen', 1);
    else if (QUOTED[char] !== undefined) this.quoted(char);
    else if (char === '$' || (char === '.' && !/[0-9]/.test(this.source[this.offset + 1] ?? '')))
      this.fieldOrVariable(char);
    else if (/[-+.0-9]/.test(char)) this.number();
    else if (this.wordLength(this.offset) > 0) this.word();
    else if (char > ' ' && char < '\x7f') this.take('char', 1);
    else this.fail(`unrecognized character in action: ${describeChar(char)}`);
  }

  private space(): void {
    let end = this.offset + 1;
    while (SPACE.test(this.source[end] ?? '')) end++;
    // The last space may belong to a trim marker.
    if (end - this.offset > 1 && this.source.startsWith('-}}', end)) end--;
    this.take('space', end - this.offset);
  }

  private quoted(mark: string): void {
    const { pattern, kind, name } = QUOTED[mark]!;
    pattern.lastIndex = this.offset;
    const match = pattern.exec(this.source);
    if (match === null) this.fail(`unterminated ${name}`);
    else this.take(kind, match[0].length);
  }

  private number(): void {
    NUMBER.lastIndex = this.offset;
    const length = NUMBER.exec(this.source)?.[0].length ?? 0;
    const tail = /^(?:[-+][0-9]*|[\p{L}\p{Nd}_])/u.exec(this.source.slice(this.offset + length))?.[0] ?? '';
    if (length === 0 || tail !== '') {
      this.fail(`bad number syntax: ${quote(this.source.slice(this.offset, this.offset + length) + tail)}`);
    } else this.take('number', length);
  }

  private fieldOrVariable(mark: string): void {
    const length = 1 + this.wordLength(this.offset + 1);
    if (!this.checkTerminator(this.offset + length)) return;
    if (mark === '$') this.take('variable', length);
    else this.take(length === 1 ? 'dot' : 'field', length);
  }

  private word(): void {
    const length = this.wordLength(this.offset);
    if (!this.checkTerminator(this.offset + length)) return;
    const word = this.source.slice(this.offset, this.offset + length);
    if (KEYWORDS.has(word)) this.take('keyword', length);
    else if (word === 'nil') this.take('nil', length);
    else if (word === 'true' || word === 'false') this.take('bool', length);
    else this.take('identifier', length);
  }

  private wordLength(offset: number): number {
    WORD.lastIndex = offset;
    return WORD.exec(this.source)?.[0].length ?? 0;
  }

  private checkTerminator(offset: number): boolean {
    if (offset >= this.source.length || this.source.startsWith('}}', offset)) return true;
    const char = String.fromCodePoint(this.source.codePointAt(offset)!);
    if (/[ \t\r\n.,|:)(]/.test(char)) return true;
    return this.fail(`bad character ${describeChar(char)}`);
  }

  private take(kind: TokenKind, length: number): void {
    this.emit(kind, this.offset, this.source.slice(this.offset, this.offset + length));
    this.offset += length;
  }

  private emit(kind: TokenKind, offset: number, value: string): void {
    this.tokens.push({ kind, value, offset, line: this.lineOf(offset) });
  }

  private fail(message: string): false {
    this.emit('error', this.offset, message);
    this.failed = true;
    return false;
  }

  private lineOf(offset: number): number {
    for (; this.lineOffset < offset; this.lineOffset++) if (this.source[this.lineOffset] === '\n') this.line++;
    return this.line;
  }
}

function describeChar(char: string): string {
  const point = `U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
  return isPrintable(char) ? `${point} '${char}'` : point;
}
