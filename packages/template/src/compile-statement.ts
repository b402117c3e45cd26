import { ExpressionCompiler } from './compile-expression.js';
import { type CompileContext, type Evaluate, type Frame, failureAt, type Run, type Signal } from './execution.js';
import type { TemplateFunctions } from './functions.js';
import type { BranchNode, CallNode, StatementNode } from './nodes.js';
import type { ParsedBody } from './parser.js';
import { sprint } from './printf.js';
import { isTrue, kindOf, sortedEntries } from './values.js';

/** A compiled body, and how many variable slots a run of it takes. */
export type CompiledBody = { run: Run; slots: number };

/** Compiles a body; the templates it calls are looked up in `templates` when it runs. */
export function compileBody(
  parsed: ParsedBody,
  context: CompileContext,
  functions: TemplateFunctions,
  templates: ReadonlyMap<string, CompiledBody>,
): CompiledBody {
  const compiler = new StatementCompiler(context, new ExpressionCompiler(context, functions), templates);
  return { run: compiler.body(parsed.body), slots: parsed.slots };
}

/** Runs a body with variables of its own; `$` is the dot it starts with. */
export function runBody(compiled: CompiledBody, dot: unknown, execution: Frame['execution']): void {
  const variables = new Array<unknown>(compiled.slots);
  variables[0] = dot;
  compiled.run(dot, { execution, variables });
}

class StatementCompiler {
  private readonly context: CompileContext;
  private readonly expressions: ExpressionCompiler;
  private readonly templates: ReadonlyMap<string, CompiledBody>;

  constructor(context: CompileContext, expressions: ExpressionCompiler, templates: ReadonlyMap<string, CompiledBody>) {
    this.context = context;
    this.expressions = expressions;
    this.templates = templates;
  }

  body(statements: readonly StatementNode[]): Run {
    const runs = statements.map((statement) => this.statement(statement));
    if (runs.length === 1) return runs[0]!;
    return (dot, frame) => {
      for (const run of runs) {
        const signal = run(dot, frame);
        if (signal !== undefined) return signal;
      }
      return undefined;
    };
  }

  private statement(node: StatementNode): Run {
    switch (node.kind) {
      case 'text':
        return (_dot, frame) => {
          frame.execution.write(node.text);
          return undefined;
        };
      case 'action':
        return this.action(this.expressions.pipeline(node.pipeline), node.pipeline.variables.length > 0);
      case 'if':
      case 'with':
        return this.condition(node);
      case 'range':
        return this.range(node);
      case 'template':
        return this.template(node);
      default:
        return () => node.kind;
    }
  }

  private action(value: Evaluate, isSilent: boolean): Run {
    return (dot, frame) => {
      const result = value(dot, frame);
      if (!isSilent) frame.execution.write(print(result));
      return undefined;
    };
  }

  private condition(node: BranchNode): Run {
    const value = this.expressions.pipeline(node.pipeline);
    const body = this.body(node.body);
    const otherwise = this.body(node.otherwise ?? []);
    const isWith = node.kind === 'with';
    return (dot, frame) => {
      const result = value(dot, frame);
      if (!isTrue(result)) return otherwise(dot, frame);
      return body(isWith ? result : dot, frame);
    };
  }

  private range(node: BranchNode): Run {
    const value = this.expressions.pipeline(node.pipeline);
    const body = this.body(node.body);
    const otherwise = this.body(node.otherwise ?? []);
    const slots = node.pipeline.variables.map((variable) => variable.slot);
    const keySlot = slots.length > 1 ? slots[0] : undefined;
    const itemSlot = slots.at(-1);
    const fail = failureAt(this.context, node.pipeline.commands.at(-1)!.args.at(-1)!);
    return (dot, frame) => {
      const subject = value(dot, frame);
      if (kindOf(subject) === 'int' && keySlot !== undefined) {
        throw fail(`can't use ${subject} to iterate over more than one variable`);
      }
      const entries = entriesToRange(subject);
      if (entries === undefined) throw fail(`range can't iterate over ${print(subject)}`);
      let ran = false;
      for (const [key, item] of entries) {
        ran = true;
        frame.execution.step();
        if (itemSlot !== undefined) frame.variables[itemSlot] = item;
        if (keySlot !== undefined) frame.variables[keySlot] = key;
        if (body(item, frame) === 'break') break;
      }
      return ran ? undefined : otherwise(dot, frame);
    };
  }

  private template(node: CallNode): Run {
    const value = node.pipeline ? this.expressions.pipeline(node.pipeline) : undefined;
    const fail = failureAt(this.context, node);
    return (dot, { execution, variables }): Signal => {
      const callee = this.templates.get(node.name);
      if (callee === undefined) throw fail(`template ${JSON.stringify(node.name)} not defined`);
      const argument = value?.(dot, { execution, variables });
      execution.nested(() => runBody(callee, argument, execution));
      return undefined;
    };
  }
}

function print(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '<no value>' : sprint([value]);
}

/** What `range` goes through; undefined if it cannot. */
function entriesToRange(subject: unknown): Iterable<[unknown, unknown]> | undefined {
  switch (kindOf(subject)) {
    case 'nil':
      return [];
    case 'slice':
      return (subject as unknown[]).entries();
    case 'map':
      return sortedEntries(subject as object);
    case 'int':
      return countTo(Number(subject));
    default:
      return undefined;
  }
}

function* countTo(end: number): Generator<[number, number]> {
  for (let index = 0; index < end; index++) yield [index, index];
}
