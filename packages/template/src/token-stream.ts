import { parseError, type TemplateError } from './errors.js';
import { describeToken, type Token, type TokenKind, tokenize } from './lexer.js';

/** Tokens of one template, read one by one with any look-ahead. */
export class TokenStream {
  readonly templateName: string;
  private readonly tokens: Token[];
  private index = 0;
  private furthest = 0;

  constructor(templateName: string, source: string) {
    this.templateName = templateName;
    this.tokens = tokenize(source);
  }

  /** The next token, consumed. At the end it is the last token (`eof` or `error`) for ever. */
  next(): Token {
    const token = this.peek();
    if (this.index < this.tokens.length - 1) this.index++;
    return token;
  }

  /** The next token, not consumed. */
  peek(): Token {
    this.furthest = Math.max(this.furthest, this.index);
    return this.tokens[this.index]!;
  }

  nextNonSpace(): Token {
    this.skipSpace();
    return this.next();
  }

  peekNonSpace(): Token {
    this.skipSpace();
    return this.peek();
  }

  /** Where reading stands, for `rewind`. */
  mark(): number {
    return this.index;
  }

  rewind(mark: number): void {
    this.index = mark;
  }

  /** Consumes a token of `kind`, or throws what was unexpected in `context`. */
  expect(kind: TokenKind, context: string): Token {
    const token = this.nextNonSpace();
    if (token.kind !== kind) throw this.unexpected(token, context);
    return token;
  }

  unexpected(token: Token, context: string): TemplateError {
    const description = describeToken(token);
    return this.error(token.kind === 'error' ? description : `unexpected ${description} in ${context}`);
  }

  /** A parse error at the line that has been read so far. */
  error(detail: string): TemplateError {
    return parseError(this.templateName, this.tokens[this.furthest]!.line, detail);
  }

  private skipSpace(): void {
    while (this.peek().kind === 'space') this.next();
  }
}
