import { TemplateError } from './errors.js';
import { type CompileContext, type Evaluate, type Frame, failureAt, messageOf } from './execution.js';
import { callField, type FieldAccess, readField, readRawField } from './field-access.js';
import {
  countProblem,
  invoke,
  type ParameterType,
  parameterAt,
  type TemplateFunction,
  type TemplateFunctions,
  typeProblem,
} from './functions.js';
import { type CommandNode, describeNode, type LiteralNode, type OperandNode, type PipelineNode } from './nodes.js';
import { isTrue, kindOf, typeName } from './values.js';

/** A command's value, given the value piped into it (ignored unless compiled for one). */
type EvaluateCommand = (dot: unknown, frame: Frame, piped: unknown) => unknown;

/** Turns the expressions of one template into closures; nothing is looked up by name when they run. */
export class ExpressionCompiler {
  private readonly context: CompileContext;
  private readonly functions: TemplateFunctions;

  constructor(context: CompileContext, functions: TemplateFunctions) {
    this.context = context;
    this.functions = functions;
  }

  /** The pipeline's value, after it has been given to the variables; a nil is always undefined. */
  pipeline(node: PipelineNode): Evaluate {
    const [first, ...rest] = node.commands.map((command, stage) => this.command(command, stage > 0));
    const slots = node.variables.map((variable) => variable.slot);
    const undeclared = node.variables.find((variable) => variable.slot === -1);
    if (undeclared !== undefined) {
      return this.failing(node.commands.at(-1)!.args[0]!, `undefined variable: ${undeclared.name}`);
    }
    if (rest.length === 0 && slots.length === 0) return (dot, frame) => first!(dot, frame, undefined) ?? undefined;
    return (dot, frame) => {
      let value = first!(dot, frame, undefined) ?? undefined;
      for (const command of rest) value = command(dot, frame, value) ?? undefined;
      for (const slot of slots) frame.variables[slot] = value;
      return value;
    };
  }

  private command(node: CommandNode, isPiped: boolean): EvaluateCommand {
    const [first, ...rest] = node.args as [OperandNode, ...OperandNode[]];
    if (first.kind === 'identifier') return this.call(first.name, first, node, rest, isPiped);
    const takesArguments = rest.length > 0 || isPiped;
    if (takesArguments && 'names' in first && first.names.length > 0) return this.method(first, rest, isPiped);
    if (takesArguments) return this.failing(first, `can't give argument to non-function ${describeNode(first)}`);
    if (first.kind === 'literal' && first.type === 'nil') return this.failing(first, 'nil is not a command');
    return this.operand(first);
  }

  /** Go too reports such mistakes only when it comes to them. */
  private failing(node: OperandNode, detail: string): () => never {
    const fail = failureAt(this.context, node);
    return () => {
      throw fail(detail);
    };
  }

  /** An operand without arguments; functions and methods are called. */
  private operand(node: OperandNode): Evaluate {
    switch (node.kind) {
      case 'literal':
        return () => node.value;
      case 'dot':
        return (dot) => dot;
      case 'pipeline':
        return this.pipeline(node);
      case 'identifier': {
        const call = this.call(node.name, node, node, [], false);
        return (dot, frame) => call(dot, frame, undefined);
      }
      default: {
        const receiver = this.receiver(node);
        const access = node.names.map((name) => this.access(node, name));
        if (access.length === 0) return receiver;
        const [only] = access as [FieldAccess];
        if (access.length === 1) return (dot, frame) => readField(receiver(dot, frame), only);
        return (dot, frame) => access.reduce(readField, receiver(dot, frame));
      }
    }
  }

  private receiver(node: OperandNode): Evaluate {
    if (node.kind === 'variable') return (_dot, frame) => frame.variables[node.slot];
    return node.kind === 'chain' ? this.operand(node.node) : (dot) => dot;
  }

  private access(node: OperandNode, name: string): FieldAccess {
    return { name, missing: this.context.missing, fail: failureAt(this.context, node) };
  }

  private method(node: OperandNode & { names: string[] }, rest: OperandNode[], isPiped: boolean): EvaluateCommand {
    const owner = this.operand({ ...node, names: node.names.slice(0, -1) } as OperandNode);
    const access = this.access(node, node.names.at(-1)!);
    const args = rest.map((arg) => this.argument(arg, 'any'));
    return (dot, frame, piped) => {
      const values = args.map((arg) => arg(dot, frame));
      if (isPiped) values.push(piped);
      return callField(owner(dot, frame), values, access);
    };
  }

  private call(
    name: string,
    identifier: OperandNode,
    node: OperandNode | CommandNode,
    rest: OperandNode[],
    isPiped: boolean,
  ): EvaluateCommand {
    if (!Object.hasOwn(this.functions, name)) {
      if (rest.length === 0 && !isPiped) {
        return this.failing(identifier, `wrong number of args for ${name}: want at least 1 got 0`);
      }
      return name === 'call' ? this.callValue(node, rest, isPiped) : this.logic(name === 'or', rest, isPiped);
    }
    const fn = this.functions[name]!;
    const fail = failureAt(this.context, identifier);
    const problem = typeof fn === 'function' ? undefined : countProblem(name, fn, rest.length + (isPiped ? 1 : 0));
    if (problem !== undefined) return this.failing(identifier, problem);
    const args = rest.map((arg, index) => this.argument(arg, parameterAt(fn, index)));
    const pipedType = parameterAt(fn, rest.length);
    const run = this.guarded(name, fn, node);
    return (dot, frame, piped) => {
      const values = args.map((arg) => arg(dot, frame));
      if (isPiped) {
        const mismatch = typeProblem(piped, pipedType);
        if (mismatch !== undefined) throw fail(mismatch);
        values.push(piped);
      }
      return run(values, frame);
    };
  }

  private guarded(
    name: string,
    fn: TemplateFunction,
    node: OperandNode | CommandNode,
  ): (args: unknown[], frame: Frame) => unknown {
    const fail = failureAt(this.context, node);
    return (args, { execution }) => {
      try {
        for (const arg of args) execution.readText(arg);
        const result = invoke(fn, args);
        execution.readText(result);
        return result;
      } catch (thrown) {
        if (thrown instanceof TemplateError) throw thrown;
        throw fail(`error calling ${name}: ${messageOf(thrown)}`);
      }
    };
  }

  /** `and` and `or`: the first argument that decides, the others are not evaluated. */
  private logic(decides: boolean, rest: OperandNode[], isPiped: boolean): EvaluateCommand {
    const args = rest.map((arg) => this.argument(arg, 'any'));
    return (dot, frame, piped) => {
      let value: unknown;
      for (const arg of args) {
        value = arg(dot, frame);
        if (isTrue(value) === decides) return value;
      }
      return isPiped ? piped : value;
    };
  }

  /** `call .Function arguments`: unlike everywhere else the function in the data is not called by naming it. */
  private callValue(node: OperandNode | CommandNode, rest: OperandNode[], isPiped: boolean): EvaluateCommand {
    const fail = failureAt(this.context, node);
    const [target, ...others] = rest;
    const callee = target && this.rawOperand(target);
    const label = target ? `${describeNode(target)} ` : '';
    const args = others.map((arg) => this.argument(arg, 'any'));
    return (dot, frame, piped) => {
      const fn = callee ? callee(dot, frame) : piped;
      const values = args.map((arg) => arg(dot, frame));
      if (isPiped && callee) values.push(piped);
      if (kindOf(fn) === 'nil') throw fail('error calling call: call of nil');
      if (typeof fn !== 'function') throw fail(`error calling call: non-function ${label}of type ${typeName(fn)}`);
      return this.guarded('call', fn as TemplateFunction, node)(values, frame);
    };
  }

  private rawOperand(node: OperandNode): Evaluate {
    if (!('names' in node) || node.names.length === 0) return this.argument(node, 'any');
    const owner = this.operand({ ...node, names: node.names.slice(0, -1) } as OperandNode);
    const access = this.access(node, node.names.at(-1)!);
    return (dot, frame) => readRawField(owner(dot, frame), access);
  }

  private argument(node: OperandNode, type: ParameterType): Evaluate {
    const fail = failureAt(this.context, node);
    const evaluate = this.operand(node);
    if (type === 'any') return evaluate;
    const problem = node.kind === 'literal' ? literalProblem(node, type) : undefined;
    if (problem !== undefined) return this.failing(node, problem);
    return (dot, frame) => {
      const value = evaluate(dot, frame);
      const mismatch = typeProblem(value, type);
      if (mismatch !== undefined) throw fail(mismatch);
      return value;
    };
  }
}

function literalProblem(node: LiteralNode, type: ParameterType): string | undefined {
  if (node.type === 'nil') return type === '[]string' ? undefined : `cannot assign nil to ${type}`;
  if (type === '[]string') return `can't handle ${node.text} for arg of type []string`;
  if (kindOf(node.value) === type) return undefined;
  return `expected ${type === 'int' ? 'integer' : type}; found ${node.text}`;
}
