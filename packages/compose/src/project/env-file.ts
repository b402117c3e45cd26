import { type Env, interpolateText } from '../syntax/interpolate.js';

/** What went wrong in an environment file; lines count from 1. */
export interface EnvFileFault {
  line: number;
  message: string;
}

/** Variables of an environment file; null is a name without a value that is set nowhere. */
export interface EnvFile {
  variables: Map<string, string | null>;
  /** Whether quotes were taken off values. */
  unquoted: boolean;
  fault?: EnvFileFault;
}

const KEY = /^[ \t]*(?:export[ \t]+)?([^\s=:#"'`$]+)[ \t]*/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$$' };

/**
 * Reads an environment file: `KEY=VALUE` lines, `export` in front, `#` comments, values in single quotes (literal) or
 * double quotes (escapes), which may span lines, variables replaced outside single quotes from `env` and from earlier
 * lines. With `raw`, whatever follows `=` is the value. Source: Compose Specification, "env_file".
 */
export function parseEnvFile(content: string, env: Env, raw = false): EnvFile {
  const text = content.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  return new EnvFileParser(text, env, raw).run();
}

class EnvFileParser {
  readonly #lines: string[];
  readonly #env: Env;
  readonly #raw: boolean;
  readonly #result: EnvFile = { variables: new Map(), unquoted: false };
  #index = 0;

  constructor(text: string, env: Env, raw: boolean) {
    this.#lines = text.split('\n');
    this.#env = env;
    this.#raw = raw;
  }

  run(): EnvFile {
    for (; this.#index < this.#lines.length && this.#result.fault === undefined; this.#index++) {
      const line = this.#lines[this.#index]!;
      if (/^\s*(?:#|$)/.test(line)) continue;
      if (this.#raw) this.#rawLine(line);
      else this.#line(line);
    }
    return this.#result;
  }

  #rawLine(line: string): void {
    const equals = line.indexOf('=');
    const key = (equals < 0 ? line : line.slice(0, equals)).trim();
    if (/\s/.test(key) || key === '') this.#fault(`${JSON.stringify(key)} is no name of a variable`);
    else this.#result.variables.set(key, equals < 0 ? (this.#env[key] ?? null) : line.slice(equals + 1));
  }

  #line(line: string): void {
    const found = KEY.exec(line);
    const key = found?.[1];
    const rest = line.slice(found?.[0].length ?? 0);
    if (key === undefined || !/^(?:[=:]|#|$)/.test(rest)) this.#fault('expected NAME=VALUE');
    else if (rest === '' || rest.startsWith('#')) this.#result.variables.set(key, this.#env[key] ?? null);
    else {
      const value = this.#value(rest.slice(1).trimStart());
      if (value !== undefined) this.#result.variables.set(key, value);
    }
  }

  #value(text: string): string | undefined {
    const quote = text[0];
    if (quote !== '"' && quote !== "'") {
      return this.#expand(text.replace(/(?:^|[ \t])#.*$/, '').trimEnd());
    }
    const body = this.#quoted(text, quote);
    if (body === undefined) return undefined;
    this.#result.unquoted = true;
    return quote === "'" ? body : this.#expand(body.replace(/\\(.)/g, (all, char: string) => ESCAPES[char] ?? all));
  }

  /** The inside of a quoted value that may go on over the next lines; moves to the line of its end. */
  #quoted(text: string, quote: string): string | undefined {
    const start = this.#index;
    let body = text.slice(1);
    for (;;) {
      const end = closingQuote(body, quote);
      if (end >= 0) return body.slice(0, end);
      if (this.#index + 1 >= this.#lines.length) {
        this.#result.fault = { line: start + 1, message: 'a quote is not closed' };
        return undefined;
      }
      body += `\n${this.#lines[++this.#index]!}`;
    }
  }

  #expand(text: string): string {
    const known = Object.fromEntries([...this.#result.variables].map(([key, value]) => [key, value ?? undefined]));
    const fail = (message: string): never => {
      throw new InterpolationFault(message);
    };
    try {
      return interpolateText(text, { ...known, ...this.#env }, { unset: () => {}, fail });
    } catch (error) {
      if (!(error instanceof InterpolationFault)) throw error;
      this.#fault(error.message);
      return text;
    }
  }

  #fault(message: string): void {
    this.#result.fault = { line: this.#index + 1, message };
  }
}

class InterpolationFault extends Error {}

function closingQuote(body: string, quote: string): number {
  for (let index = 0; index < body.length; index++) {
    if (body[index] === '\\' && quote === '"') index++;
    else if (body[index] === quote) return index;
  }
  return -1;
}
