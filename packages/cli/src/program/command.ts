import type { Readable } from 'node:stream';
import type { Client } from '../client/client.js';
import type { Screen } from '../output/screen.js';
import type { Flag } from './flag-types.js';

/** Options of a command by their names, without dashes in front. */
export type Flags = Readonly<Record<string, Flag<never> | Flag<unknown>>>;

/** The values a command gets for its flags. */
export type FlagValues<F> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** What a command was given. `given` has the flags that were on the command line. */
export interface Invocation<F> {
  readonly flags: FlagValues<F>;
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
}

/** What a command may use of the world. */
export interface CommandContext {
  readonly client: Client;
  readonly out: Screen;
  readonly err: Screen;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Directory that relative paths start from. */
  readonly directory: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** How many arguments a command takes. */
export interface Arity {
  readonly min: number;
  readonly max: number;
}

/** Kinds of names that a shell can complete through the API; `file` is left to the shell. */
export type ArgumentKind = 'service' | 'node' | 'secret' | 'config' | 'network' | 'stack' | 'file' | readonly string[];

/** A command, its flags' types erased. `run` resolves with the exit code, or nothing for 0. */
export interface Command {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** What follows the command's name in its usage line. */
  readonly synopsis: string;
  readonly flags: Flags;
  readonly arity: Arity;
  /** Whether flags may stand after the first argument. */
  readonly interspersed: boolean;
  readonly argument: ArgumentKind | undefined;
  run(context: CommandContext, invocation: Invocation<Flags>): Promise<number | undefined>;
}

/** Commands under one word. */
export interface Group {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** How a command is written down. */
export interface CommandDefinition<F extends Flags> {
  name: string;
  aliases?: readonly string[];
  summary: string;
  synopsis?: string;
  flags?: F;
  arity?: Partial<Arity> | number;
  interspersed?: boolean;
  argument?: ArgumentKind;
  run(context: CommandContext, invocation: Invocation<F>): Promise<number | undefined> | Promise<void>;
}

/** A command from its definition; the values of its flags have the types that the flags say. */
export function command<F extends Flags = Record<never, never>>(definition: CommandDefinition<F>): Command {
  const { name, aliases = [], summary, argument, interspersed = true } = definition;
  const flags: Flags = definition.flags ?? {};
  const arity = definition.arity ?? 0;
  return {
    name,
    aliases,
    summary,
    synopsis: definition.synopsis ?? '',
    flags,
    arity: typeof arity === 'number' ? { min: arity, max: arity } : { min: 0, max: Number.POSITIVE_INFINITY, ...arity },
    interspersed,
    argument,
    run: async (context, invocation) => (await definition.run(context, invocation as Invocation<F>)) ?? undefined,
  };
}
