import type { BranchNode, StatementNode } from './nodes.js';
import { type PipelineContext, parsePipeline } from './parse-pipeline.js';
import { quote, unquote } from './quote.js';
import { Scope } from './scope.js';
import { TokenStream } from './token-stream.js';

/** A parsed body, and how many variable slots executing it takes. */
export type ParsedBody = { body: StatementNode[]; slots: number };
/** The text parsed, and the templates it defines by name (the text itself under its own name). */
export type ParsedTemplates = ReadonlyMap<string, ParsedBody>;

type Terminator = { word: 'end' | 'else' | 'else if' | 'else with' };

/** Parses a template's text as Go's text/template/parse does; throws TemplateError. */
export function parse(name: string, source: string, isFunction: (name: string) => boolean): ParsedTemplates {
  const parser = new Parser(new TokenStream(name, source), isFunction);
  return parser.parse(name);
}

class Parser {
  private readonly tokens: TokenStream;
  private readonly isFunction: (name: string) => boolean;
  private readonly templates = new Map<string, ParsedBody>();
  private scope = new Scope();
  private rangeDepth = 0;

  constructor(tokens: TokenStream, isFunction: (name: string) => boolean) {
    this.tokens = tokens;
    this.isFunction = isFunction;
  }

  parse(name: string): ParsedTemplates {
    const body: StatementNode[] = [];
    while (this.tokens.peek().kind !== 'eof') {
      if (this.skipDefinition()) continue;
      const statement = this.statement();
      if ('word' in statement) throw this.tokens.error(`unexpected {{${statement.word.split(' ')[0]}}}`);
      body.push(statement);
    }
    this.add(name, { body, slots: this.scope.slots });
    return this.templates;
  }

  private pipeline(what: string) {
    const context: PipelineContext = { tokens: this.tokens, scope: this.scope, isFunction: this.isFunction };
    return parsePipeline(context, what);
  }

  /** Parses `{{define …}}…{{end}}`, which counts only at the top level, if it comes next. */
  private skipDefinition(): boolean {
    if (this.tokens.peek().kind !== 'leftDelim') return false;
    const mark = this.tokens.mark();
    this.tokens.next();
    const keyword = this.tokens.nextNonSpace();
    if (keyword.kind !== 'keyword' || keyword.value !== 'define') {
      this.tokens.rewind(mark);
      return false;
    }
    const name = this.templateName('define clause');
    this.tokens.expect('rightDelim', 'define clause');
    this.add(name, this.separateBody('define clause'));
    return true;
  }

  /** A body with variables of its own, up to its `{{end}}`. */
  private separateBody(what: string): ParsedBody {
    const { scope, rangeDepth } = this;
    this.scope = new Scope();
    this.rangeDepth = 0;
    const { body, end } = this.body();
    if (end.word !== 'end') throw this.tokens.error(`unexpected {{else}} in ${what}`);
    const slots = this.scope.slots;
    this.scope = scope;
    this.rangeDepth = rangeDepth;
    return { body, slots };
  }

  private add(name: string, parsed: ParsedBody): void {
    const existing = this.templates.get(name);
    if (existing !== undefined && !isEmpty(existing.body)) {
      if (isEmpty(parsed.body)) return;
      throw this.tokens.error(`template: multiple definition of template ${quote(name)}`);
    }
    this.templates.set(name, parsed);
  }

  private body(): { body: StatementNode[]; end: Terminator } {
    const body: StatementNode[] = [];
    while (this.tokens.peekNonSpace().kind !== 'eof') {
      const statement = this.statement();
      if ('word' in statement) return { body, end: statement };
      body.push(statement);
    }
    throw this.tokens.error('unexpected EOF');
  }

  private statement(): StatementNode | Terminator {
    const token = this.tokens.nextNonSpace();
    if (token.kind === 'text') return { kind: 'text', offset: token.offset, text: token.value };
    if (token.kind !== 'leftDelim') throw this.tokens.unexpected(token, 'input');
    const first = this.tokens.peekNonSpace();
    if (first.kind !== 'keyword') {
      return { kind: 'action', offset: first.offset, pipeline: this.pipeline('command') };
    }
    this.tokens.next();
    switch (first.value) {
      case 'if':
      case 'with':
      case 'range':
        return this.branch(first.value, first.offset);
      case 'else':
        return this.elseClause();
      case 'end':
        this.tokens.expect('rightDelim', 'end');
        return { word: 'end' };
      case 'template':
        return this.templateCall();
      case 'block':
        return this.block();
      case 'break':
      case 'continue':
        return this.loopControl(first.value, first.offset);
      default:
        throw this.tokens.unexpected(first, 'command');
    }
  }

  private elseClause(): Terminator {
    const next = this.tokens.peekNonSpace();
    if (next.kind === 'keyword' && (next.value === 'if' || next.value === 'with'))
      return { word: `else ${next.value}` };
    this.tokens.expect('rightDelim', 'else');
    return { word: 'else' };
  }

  private loopControl(kind: 'break' | 'continue', offset: number): StatementNode {
    const token = this.tokens.nextNonSpace();
    if (token.kind !== 'rightDelim') throw this.tokens.unexpected(token, `{{${kind}}}`);
    if (this.rangeDepth === 0) throw this.tokens.error(`{{${kind}}} outside {{range}}`);
    return { kind, offset };
  }

  private branch(kind: BranchNode['kind'], offset: number): BranchNode {
    const mark = this.scope.mark();
    const pipeline = this.pipeline(kind);
    if (kind === 'range') this.rangeDepth++;
    const { body, end } = this.body();
    if (kind === 'range') this.rangeDepth--;
    const otherwise = this.otherwise(kind, end);
    this.scope.release(mark);
    return { kind, offset, pipeline, body, otherwise };
  }

  private otherwise(kind: BranchNode['kind'], end: Terminator): StatementNode[] | undefined {
    if (end.word === 'end') return undefined;
    if (end.word === `else ${kind}` && kind !== 'range') {
      // The chained branch consumes the one {{end}} there is.
      const keyword = this.tokens.nextNonSpace();
      return [this.branch(kind, keyword.offset)];
    }
    if (end.word !== 'else') throw this.tokens.unexpected(this.tokens.nextNonSpace(), 'input');
    const { body, end: last } = this.body();
    if (last.word !== 'end') throw this.tokens.error('expected end; found {{else}}');
    return body;
  }

  private templateName(what: string): string {
    const token = this.tokens.nextNonSpace();
    if (token.kind !== 'string' && token.kind !== 'rawString') throw this.tokens.unexpected(token, what);
    const name = unquote(token.value);
    if (name === undefined) throw this.tokens.error('invalid syntax');
    return name;
  }

  private templateCall(): StatementNode {
    const { offset } = this.tokens.peekNonSpace();
    const name = this.templateName('template clause');
    if (this.tokens.peekNonSpace().kind === 'rightDelim') {
      this.tokens.next();
      return { kind: 'template', offset, name, pipeline: undefined };
    }
    return { kind: 'template', offset, name, pipeline: this.pipeline('template clause') };
  }

  private block(): StatementNode {
    const { offset } = this.tokens.peekNonSpace();
    const name = this.templateName('block clause');
    const pipeline = this.pipeline('block clause');
    this.add(name, this.separateBody('block clause'));
    return { kind: 'template', offset, name, pipeline };
  }
}

function isEmpty(body: readonly StatementNode[]): boolean {
  return body.every((statement) => statement.kind === 'text' && statement.text.trim() === '');
}
