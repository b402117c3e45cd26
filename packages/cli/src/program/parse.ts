import type { Flags, Invocation } from './command.js';
import { UsageError } from './errors.js';
import type { Flag } from './flag-types.js';

/** What parsing found besides values: `--help` ends everything else. */
export interface Parsed extends Invocation<Flags> {
  readonly help: boolean;
}

/**
 * Parses flags as pflag does: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-abc`, `--` ends them. With
 * `interspersed` false the first argument ends them too. Throws UsageError with exit code 125.
 */
export function parseFlags(argv: readonly string[], flags: Flags, options: { interspersed: boolean }): Parsed {
  return new FlagParser(argv, flags).parse(options.interspersed);
}

const flagError = (message: string): UsageError => new UsageError(message, { exitCode: 125, prefixed: false });

class FlagParser {
  private readonly argv: readonly string[];
  private readonly flags: Flags;
  private readonly byShort: ReadonlyMap<string, string>;
  private readonly values: Map<string, unknown>;
  private readonly given = new Set<string>();
  private help = false;
  private index = 0;

  constructor(argv: readonly string[], flags: Flags) {
    this.argv = argv;
    this.flags = flags;
    const entries = Object.entries(flags);
    this.byShort = new Map(
      entries.flatMap(([name, { short }]) => (short === undefined ? [] : [[short, name] as const])),
    );
    this.values = new Map(entries.map(([name, flag]) => [name, flag.initial]));
  }

  parse(interspersed: boolean): Parsed {
    const args: string[] = [];
    while (this.index < this.argv.length) {
      const word = this.argv[this.index++]!;
      if (word.startsWith('--') && word.length > 2) this.long(word);
      else if (word.startsWith('-') && word.length > 1 && word !== '--') this.shorts(word);
      else {
        if (word !== '--') args.push(word);
        if (word !== '--' && interspersed) continue;
        args.push(...this.argv.slice(this.index));
        break;
      }
    }
    return { flags: Object.fromEntries(this.values), given: this.given, args, help: this.help };
  }

  private long(word: string): void {
    const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word)!;
    if (!Object.hasOwn(this.flags, name)) {
      if (name !== 'help') throw flagError(`unknown flag: --${name}`);
      this.help = true;
    } else if (value !== undefined) this.set(name, value);
    else this.set(name, this.isSwitch(name) ? 'true' : this.next(`--${name}`));
  }

  /** One or more flags of one letter; the first that takes a value takes the rest of the word. */
  private shorts(word: string): void {
    for (let at = 1; at < word.length; at++) {
      const short = word[at]!;
      const rest = word.slice(at + 1);
      const name = this.byShort.get(short);
      if (name === undefined) {
        if (short !== 'h') throw flagError(`unknown shorthand flag: '${short}' in ${word}`);
        this.help = true;
      } else if (this.isSwitch(name) && !rest.startsWith('=')) this.set(name, 'true');
      else {
        const attached = rest.startsWith('=') ? rest.slice(1) : rest;
        this.set(name, rest === '' ? this.next(`'${short}' in ${word}`) : attached);
        return;
      }
    }
  }

  private isSwitch(name: string): boolean {
    return this.flags[name]?.typeName === '';
  }

  private next(shown: string): string {
    const value = this.argv[this.index++];
    if (value === undefined) throw flagError(`flag needs an argument: ${shown}`);
    return value;
  }

  private set(name: string, text: string): void {
    const flag = this.flags[name] as Flag<unknown>;
    try {
      this.values.set(name, flag.parse(text, this.values.get(name)));
    } catch (thrown) {
      const shown = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw flagError(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${(thrown as Error).message}`);
    }
    this.given.add(name);
  }
}
