import { BUILTIN_FUNCTIONS, LANGUAGE_FUNCTIONS } from './builtin-functions.js';
import { type CompiledBody, compileBody, runBody } from './compile-statement.js';
import { TemplateError } from './errors.js';
import { Execution, type Missing, messageOf } from './execution.js';
import type { TemplateFunctions } from './functions.js';
import { parse } from './parser.js';

/** How a template is parsed. */
export type TemplateOptions = {
  /** Name in error messages; the docker CLI's is empty, which is the default. */
  name?: string;
  /** Functions besides Go's own, which they may replace. */
  functions?: TemplateFunctions;
  /** What a map without the key does; by default it prints `<no value>`. */
  missing?: Missing;
};

/** A compiled template: can be executed any number of times. */
export type Template = {
  /**
   * The template's output for plain values as data: objects are maps, own properties alone are fields, and a function
   * among them is called like a Go method. Throws TemplateError; its output so far is lost.
   */
  execute(data: unknown): string;
  /** As `execute`, but keeps what was written before an error, as Go does. */
  executePartially(data: unknown): { text: string; error: TemplateError | undefined };
};

/** Parses and compiles a Go template (https://pkg.go.dev/text/template); throws TemplateError. */
export function parseTemplate(text: string, options: TemplateOptions = {}): Template {
  const { name = '', functions = {}, missing = 'no value' } = options;
  const all: TemplateFunctions = { ...BUILTIN_FUNCTIONS, ...functions };
  const isFunction = (word: string): boolean => Object.hasOwn(all, word) || LANGUAGE_FUNCTIONS.has(word);
  const templates = new Map<string, CompiledBody>();
  try {
    for (const [executing, parsed] of parse(name, text, isFunction)) {
      templates.set(
        executing,
        compileBody(parsed, { parseName: name, executing, source: text, missing }, all, templates),
      );
    }
  } catch (thrown) {
    throw asTemplateError(name, thrown);
  }
  const main = templates.get(name)!;
  const executePartially: Template['executePartially'] = (data) => {
    const execution = new Execution();
    try {
      runBody(main, data, execution);
      return { text: execution.output, error: undefined };
    } catch (thrown) {
      return { text: execution.output, error: asTemplateError(name, thrown) };
    }
  };
  const execute: Template['execute'] = (data) => {
    const { text: output, error } = executePartially(data);
    if (error !== undefined) throw error;
    return output;
  };
  return { execute, executePartially };
}

/** Bounds of ours and of the engine (nesting, string length) have no place in the template. */
function asTemplateError(name: string, thrown: unknown): TemplateError {
  if (thrown instanceof TemplateError) return thrown;
  const detail = messageOf(thrown);
  return new TemplateError(`template: ${name}: ${detail}`, { detail, line: 1 });
}
