import type { Flags, Invocation } from './command.js';
import { UsageError } from './errors.js';
import type { Flag } from './flag-types.js';

/** What parsing found besides values: `--help` ends everything else. */
export interface Parsed extends Invocation<Flags> {
  readonly help: boolean;
}

const flagError = (message: string): UsageError => new UsageError(message, { exitCode: 125, prefixed: false });

/**
 * Parses flags as pflag does: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-abc`, `--` ends them. With
 * `interspersed` false the first argument ends them too. Throws UsageError with exit code 125.
 */
export function parseFlags(argv: readonly string[], flags: Flags, options: { interspersed: boolean }): Parsed {
  const values = new Map<string, unknown>(Object.entries(flags).map(([name, flag]) => [name, flag.initial]));
  const given = new Set<string>();
  const args: string[] = [];
  const byShort = new Map(
    Object.entries(flags).flatMap(([name, flag]) => (flag.short === undefined ? [] : [[flag.short, name] as const])),
  );
  let help = false;

  const set = (name: string, text: string): void => {
    const flag = flags[name] as Flag<unknown>;
    try {
      values.set(name, flag.parse(text, values.get(name)));
    } catch (thrown) {
      const shown = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw flagError(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${(thrown as Error).message}`);
    }
    given.add(name);
  };
  const isSwitch = (name: string): boolean => flags[name]?.typeName === '';

  let index = 0;
  while (index < argv.length) {
    const word = argv[index]!;
    index++;
    if (word === '--') {
      args.push(...argv.slice(index));
      break;
    }
    if (word.startsWith('--')) {
      const [, name, value] = /^--([^=]*)(?:=(.*))?$/s.exec(word)!;
      if (!Object.hasOwn(flags, name!)) {
        if (name !== 'help') throw flagError(`unknown flag: --${name}`);
        help = true;
      } else if (value !== undefined) set(name!, value);
      else if (isSwitch(name!)) set(name!, 'true');
      else if (index < argv.length) set(name!, argv[index++]!);
      else throw flagError(`flag needs an argument: --${name}`);
    } else if (word.startsWith('-') && word.length > 1) {
      for (let at = 1; at < word.length; at++) {
        const short = word[at]!;
        const name = byShort.get(short);
        if (name === undefined) {
          if (short !== 'h') throw flagError(`unknown shorthand flag: '${short}' in ${word}`);
          help = true;
          continue;
        }
        const rest = word.slice(at + 1);
        if (rest.startsWith('=')) set(name, rest.slice(1));
        else if (isSwitch(name)) {
          set(name, 'true');
          continue;
        } else if (rest !== '') set(name, rest);
        else if (index < argv.length) set(name, argv[index++]!);
        else throw flagError(`flag needs an argument: '${short}' in ${word}`);
        break;
      }
    } else {
      args.push(word);
      if (!options.interspersed) {
        args.push(...argv.slice(index));
        break;
      }
    }
  }
  return { flags: Object.fromEntries(values), given, args, help };
}
