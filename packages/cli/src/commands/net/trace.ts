import type { TraceEnd, TraceHop, TraceReport } from '@swarmd/model';
import { toGoJson } from '@swarmd/template';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';

const MARKS: Readonly<Record<TraceHop['Result'], string>> = { ok: 'ok    ', broken: 'BROKEN', skipped: '-     ' };

/** `net trace`. */
export const netTrace: Command = command({
  name: 'trace',
  summary: 'Follow the way from a task or container to a service, task or address; exits with 1 where it is broken',
  synopsis: 'SOURCE DESTINATION[:PORT]',
  arity: 2,
  argument: 'service',
  flags: { format: text('Format of the output: "table" or "json"', { words: ['table', 'json'] }) },
  async run(context, { flags, args }) {
    const { format = 'table' } = flags;
    if (format !== 'table' && format !== 'json') throw new CommandError(`--format is table or json, not ${format}`);
    const { to, port } = splitDestination(args[1]!);
    const report = await context.client.get<TraceReport>('/swarmd/trace', {
      query: { from: args[0]!, to, port: port === 0 ? undefined : port },
      signal: context.signal,
    });
    if (format === 'json') context.out.write(`${toGoJson(report)}\n`);
    else describe(context, report);
    return report.Ok ? 0 : 1;
  },
});

/** `NAME`, `NAME:PORT`, `ADDRESS` or `[ADDRESS]:PORT`; port 0 for none. Throws CommandError for a port that is none. */
export function splitDestination(text: string): { to: string; port: number } {
  const bracketed = /^\[(.+)\](?::(.*))?$/.exec(text);
  const plain = /^([^:]+):([^:]*)$/.exec(text);
  const [to, given] = bracketed ? [bracketed[1]!, bracketed[2]] : plain ? [plain[1]!, plain[2]] : [text, undefined];
  if (given === undefined) return { to, port: 0 };
  const port = /^\d+$/.test(given) ? Number(given) : 0;
  if (port < 1 || port > 65_535) throw new CommandError(`invalid port ${JSON.stringify(given)}: it must be 1 to 65535`);
  return { to, port };
}

function describe(context: CommandContext, { Source, Destination, Hops, Ok }: TraceReport): void {
  context.out.write(`From ${nameOf(Source)}\nTo   ${nameOf(Destination)}\n\n`);
  for (const { Result, Hop, What } of Hops) context.out.write(`${MARKS[Result]}  ${Hop.padEnd(10)}  ${What}\n`);
  const broken = Hops.find(({ Result }) => Result === 'broken');
  if (Ok || broken === undefined) context.out.write('\nNothing is broken.\n');
  else context.out.write(`\nThe way breaks here: ${broken.What}\n${broken.Do === '' ? '' : `    ${broken.Do}\n`}`);
}

function nameOf({ Kind, Name, Hostname }: TraceEnd): string {
  return `${Kind} ${Name}${Hostname === '' ? '' : ` on ${Hostname}`}`;
}
