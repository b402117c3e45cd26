import type { Token, TokenKind } from './lexer.js';
import type { CommandNode, LiteralNode, OperandNode, PipelineNode } from './nodes.js';
import { quote, unquote } from './quote.js';
import type { Scope } from './scope.js';
import type { TokenStream } from './token-stream.js';

/** What parsing a pipeline needs to know. */
export type PipelineContext = { tokens: TokenStream; scope: Scope; isFunction: (name: string) => boolean };

const OPERAND_STARTS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  'bool',
  'charConstant',
  'dot',
  'field',
  'identifier',
  'number',
  'nil',
  'rawString',
  'string',
  'variable',
  'leftParen',
]);

/** Parses `declarations? command ('|' command)*` up to and including the `end` token. */
export function parsePipeline(
  context: PipelineContext,
  what: string,
  end: 'rightDelim' | 'rightParen' = 'rightDelim',
): PipelineNode {
  const { tokens } = context;
  const pipeline: PipelineNode = {
    kind: 'pipeline',
    offset: tokens.peekNonSpace().offset,
    variables: [],
    assigns: false,
    commands: [],
  };
  parseDeclarations(tokens, pipeline, what);
  while (true) {
    const token = tokens.peekNonSpace();
    if (token.kind === end) {
      tokens.next();
      checkPipeline(context, pipeline, what);
      // Only now: in `$x := f $x` the second one is still the outer variable.
      for (const variable of pipeline.variables) {
        variable.slot = pipeline.assigns ? context.scope.find(variable.name) : context.scope.declare(variable.name);
      }
      return pipeline;
    }
    if (!OPERAND_STARTS.has(token.kind)) throw tokens.unexpected(tokens.next(), what);
    pipeline.commands.push(parseCommand(context));
  }
}

function parseDeclarations(tokens: TokenStream, pipeline: PipelineNode, what: string): void {
  while (tokens.peekNonSpace().kind === 'variable') {
    const mark = tokens.mark();
    const variable = tokens.next();
    const after = tokens.peekNonSpace();
    const isComma = after.kind === 'char' && after.value === ',';
    if (after.kind !== 'assign' && after.kind !== 'declare' && !isComma) {
      tokens.rewind(mark);
      return;
    }
    tokens.next();
    pipeline.assigns = after.kind === 'assign';
    pipeline.variables.push({ name: variable.value, slot: -1 });
    if (!isComma) break;
    if (what !== 'range' || pipeline.variables.length >= 2) throw tokens.error(`too many declarations in ${what}`);
    const follower = tokens.peekNonSpace().kind;
    if (follower !== 'variable' && follower !== 'rightDelim' && follower !== 'rightParen') {
      throw tokens.error('range can only initialize variables');
    }
  }
}

function checkPipeline(context: PipelineContext, pipeline: PipelineNode, what: string): void {
  if (pipeline.commands.length === 0) throw context.tokens.error(`missing value for ${what}`);
  pipeline.commands.forEach((command, stage) => {
    const kind = command.args[0]!.kind;
    if (stage > 0 && (kind === 'literal' || kind === 'dot')) {
      throw context.tokens.error(`non executable command in pipeline stage ${stage + 1}`);
    }
  });
}

function parseCommand(context: PipelineContext): CommandNode {
  const { tokens } = context;
  const command: CommandNode = { kind: 'command', offset: tokens.peekNonSpace().offset, args: [] };
  while (true) {
    tokens.peekNonSpace();
    const operand = parseOperand(context);
    if (operand !== undefined) command.args.push(operand);
    const token = tokens.peek();
    if (token.kind === 'space') {
      tokens.next();
      continue;
    }
    if (token.kind === 'pipe') tokens.next();
    else if (token.kind !== 'rightDelim' && token.kind !== 'rightParen') throw tokens.unexpected(token, 'operand');
    break;
  }
  if (command.args.length === 0) throw tokens.error('empty command');
  return command;
}

function parseOperand(context: PipelineContext): OperandNode | undefined {
  const { tokens } = context;
  const term = parseTerm(context);
  if (term === undefined || tokens.peek().kind !== 'field') return term;
  const offset = tokens.peek().offset;
  const names: string[] = [];
  while (tokens.peek().kind === 'field') names.push(tokens.next().value.slice(1));
  switch (term.kind) {
    case 'field':
    case 'variable':
      return { ...term, offset, names: [...term.names, ...names] };
    case 'literal':
      throw tokens.error(`unexpected . after term ${quote(term.text)}`);
    case 'dot':
      throw tokens.error('unexpected . after term "."');
    default:
      return { kind: 'chain', offset, node: term, names };
  }
}

function parseTerm(context: PipelineContext): OperandNode | undefined {
  const { tokens, scope } = context;
  const token = tokens.peekNonSpace();
  if (!OPERAND_STARTS.has(token.kind)) return undefined;
  tokens.next();
  const { offset, value } = token;
  switch (token.kind) {
    case 'identifier':
      if (!context.isFunction(value)) throw tokens.error(`function ${quote(value)} not defined`);
      return { kind: 'identifier', offset, name: value };
    case 'dot':
      return { kind: 'dot', offset };
    case 'field':
      return { kind: 'field', offset, names: [value.slice(1)] };
    case 'variable': {
      const slot = scope.find(value);
      if (slot === -1) throw tokens.error(`undefined variable ${quote(value)}`);
      return { kind: 'variable', offset, name: value, slot, names: [] };
    }
    case 'leftParen':
      return parsePipeline(context, 'parenthesized pipeline', 'rightParen');
    default:
      return parseLiteral(context, token);
  }
}

function parseLiteral(context: PipelineContext, token: Token): LiteralNode {
  const { offset, value: text } = token;
  const literal = (type: LiteralNode['type'], value: LiteralNode['value']): LiteralNode => ({
    kind: 'literal',
    offset,
    type,
    value,
    text,
  });
  if (token.kind === 'nil') return literal('nil', null);
  if (token.kind === 'bool') return literal('bool', text === 'true');
  if (token.kind === 'number') {
    const value = parseNumber(text);
    if (value === undefined) throw context.tokens.error(`illegal number syntax: ${quote(text)}`);
    return literal('number', value);
  }
  const value = unquote(text);
  if (token.kind === 'charConstant') {
    const code = value?.codePointAt(0);
    if (code === undefined || [...value!].length !== 1) {
      throw context.tokens.error(`malformed character constant: ${text}`);
    }
    return literal('number', code);
  }
  if (value === undefined) throw context.tokens.error('invalid syntax');
  return literal('string', value);
}

const INTEGER = /^([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)$/;
const FLOAT = /^[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9]+)?$/;

/** A Go number literal's value: a bigint where a JavaScript number would lose digits. */
function parseNumber(text: string): number | bigint | undefined {
  const integer = INTEGER.exec(text);
  if (integer !== null) {
    const digits = integer[2]!.replaceAll('_', '');
    const magnitude = BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
    const value = integer[1] === '-' ? -magnitude : magnitude;
    if (BigInt.asIntN(64, value) !== value) return undefined;
    return magnitude <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }
  const float = FLOAT.test(text) && /[.eE]/.test(text) ? Number(text.replaceAll('_', '')) : undefined;
  return Number.isFinite(float) ? float : undefined;
}
