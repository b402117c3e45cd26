import { kindOf, typeName } from './values.js';

/** What a function's parameter accepts; `any` accepts nil too. */
export type ParameterType = 'any' | 'string' | 'int' | '[]string';

/** A function with Go's strictness: its arguments are counted and checked before it is called. */
export type DeclaredFunction = {
  readonly parameters: readonly ParameterType[];
  /** Whether the last parameter may come any number of times. */
  readonly variadic: boolean;
  readonly call: (...args: never[]) => unknown;
};

/** A function for templates: declared, or any plain function, called with whatever it is given. */
export type TemplateFunction = DeclaredFunction | ((...args: unknown[]) => unknown);

/** Functions by name. */
export type TemplateFunctions = Readonly<Record<string, TemplateFunction>>;

type ArgumentOf<T> = T extends 'string' ? string : T extends 'int' ? number : T extends '[]string' ? string[] : unknown;
type ArgumentsOf<P extends readonly ParameterType[]> = { -readonly [I in keyof P]: ArgumentOf<P[I]> };

/** Declares a function of a fixed number of arguments. */
export function fixed<const P extends readonly ParameterType[]>(
  parameters: P,
  call: (...args: ArgumentsOf<P>) => unknown,
): DeclaredFunction {
  return { parameters, variadic: false, call: call as DeclaredFunction['call'] };
}

/** Declares a function of `leading` arguments and then any number of the type `rest`. */
export function variadic<const P extends readonly ParameterType[], R extends ParameterType>(
  leading: P,
  rest: R,
  call: (...args: [...ArgumentsOf<P>, ...ArgumentOf<R>[]]) => unknown,
): DeclaredFunction {
  return { parameters: [...leading, rest], variadic: true, call: call as DeclaredFunction['call'] };
}

/** Why a function cannot be called with so many arguments, undefined if it can. */
export function countProblem(name: string, fn: DeclaredFunction, count: number): string | undefined {
  const want = fn.parameters.length;
  if (fn.variadic) {
    return count < want - 1 ? `wrong number of args for ${name}: want at least ${want - 1} got ${count}` : undefined;
  }
  return count === want ? undefined : `wrong number of args for ${name}: want ${want} got ${count}`;
}

/** The type of a function's argument at `index`. */
export function parameterAt(fn: TemplateFunction, index: number): ParameterType {
  if (typeof fn === 'function') return 'any';
  return fn.parameters[Math.min(index, fn.parameters.length - 1)] ?? 'any';
}

/** Why a value cannot be passed as `type`, undefined if it can. */
export function typeProblem(value: unknown, type: ParameterType): string | undefined {
  if (type === 'any') return undefined;
  const kind = kindOf(value);
  // Go passes a nil where it expects a slice.
  if (kind === 'nil') return type === '[]string' ? undefined : `invalid value; expected ${type}`;
  const fits =
    type === '[]string'
      ? kind === 'slice' && (value as unknown[]).every((item) => typeof item === 'string')
      : kind === type;
  return fits ? undefined : `wrong type for value; expected ${type}; got ${typeName(value)}`;
}

/** Calls a function with arguments already checked. */
export function invoke(fn: TemplateFunction, args: readonly unknown[]): unknown {
  const call = (typeof fn === 'function' ? fn : fn.call) as (...args: unknown[]) => unknown;
  return call(...args);
}
