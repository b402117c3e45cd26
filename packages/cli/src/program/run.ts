import type { Readable } from 'node:stream';
import { Client } from '../client/client.js';
import { DEFAULT_HOST, socketPath } from '../client/host.js';
import { clientVersion } from '../commands/system/version.js';
import { commandTree, findCommand } from '../commands/tree.js';
import { complete, daemonNames } from '../completion/complete.js';
import type { Screen } from '../output/screen.js';
import type { Arity, Command, CommandContext, Flags } from './command.js';
import { CommandError, INTERRUPTED, UsageError } from './errors.js';
import { bool, text } from './flag-types.js';
import { parseFlags } from './parse.js';
import { commandHelp, commandLines, flagLines, groupHelp, usageLine } from './usage.js';

const PROGRAM = 'swarmctl';

/** What `run` may use of the process it runs in. */
export interface ProcessIo {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  now(): number;
}

const GLOBAL_FLAGS = {
  host: text('Socket of swarmd to connect to', { short: 'H', defaultText: JSON.stringify(DEFAULT_HOST) }),
  version: bool('Print version information and quit', { short: 'v' }),
} satisfies Flags;

/** Runs one command line (without the program's name) and resolves with its exit code; never rejects. */
export async function run(argv: readonly string[], io: ProcessIo): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (thrown) {
    if (io.signal.aborted) return INTERRUPTED;
    if (!(thrown instanceof CommandError)) {
      io.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
      return 1;
    }
    const prefix = thrown instanceof UsageError && thrown.prefixed ? `${PROGRAM}: ` : '';
    if (thrown.message !== '') io.stderr.write(`${prefix}${thrown.message}\n`);
    return thrown.exitCode;
  }
}

async function dispatch(argv: readonly string[], io: ProcessIo): Promise<number> {
  if (argv[0] === '__complete') return completeWords(argv.slice(1), io);
  const { flags, args, help } = parseFlags(argv, GLOBAL_FLAGS, { interspersed: false });
  if (flags['version'] === true) {
    io.stdout.write(`${PROGRAM} version ${clientVersion()}\n`);
    return 0;
  }
  const tree = commandTree();
  const found = findCommand(tree, args);
  if (found.kind === 'none') {
    if (found.unknown !== undefined && !help) {
      const path = [PROGRAM, ...found.path].join(' ');
      const message = `unknown command: ${path} ${found.unknown}\n\nRun '${path} --help' for more information`;
      throw new UsageError(message, { exitCode: 1, prefixed: true });
    }
    io.stdout.write(
      found.group === undefined ? programHelp(io) : groupHelp([PROGRAM, ...found.path].join(' '), found.group),
    );
    return 0;
  }
  const host = (flags['host'] as string | undefined) ?? (io.env['SWARMCTL_HOST'] || DEFAULT_HOST);
  return runCommand(found.command, [PROGRAM, ...found.path].join(' '), found.rest, host, io);
}

/** Answers the shell: a line a candidate, its meaning after a tab. */
async function completeWords(words: readonly string[], io: ProcessIo): Promise<number> {
  const host = words[0] === '-H' || words[0] === '--host' ? words[1] : undefined;
  const client = new Client(host ?? (io.env['SWARMCTL_HOST'] || DEFAULT_HOST));
  try {
    const offered = await complete(commandTree(), words, daemonNames(client));
    const lines = typeof offered === 'string' ? [offered] : offered.map(({ word, about }) => `${word}\t${about}`);
    io.stdout.write(lines.map((line) => `${line}\n`).join(''));
    return 0;
  } finally {
    client.close();
  }
}

async function runCommand(
  command: Command,
  path: string,
  argv: readonly string[],
  host: string,
  io: ProcessIo,
): Promise<number> {
  const usage = `\n\nUsage:  ${usageLine(path, command)}\n\nRun '${path} --help' for more information`;
  let parsed: ReturnType<typeof parseFlags>;
  try {
    parsed = parseFlags(argv, command.flags, command);
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    throw new UsageError(thrown.message + usage, thrown);
  }
  if (parsed.help) {
    io.stdout.write(`${commandHelp(path, command, io.stdout.columns)}`);
    return 0;
  }
  const complaint = arityComplaint(command.arity, parsed.args.length);
  if (complaint !== undefined) throw new UsageError(`'${path}' ${complaint}${usage}`, { exitCode: 1, prefixed: true });
  socketPath(host);
  const client = new Client(host);
  const { stdout: out, stderr: err, stdin, env, directory, signal } = io;
  const context: CommandContext = { client, out, err, stdin, env, directory, signal, now: () => io.now() };
  try {
    return (await command.run(context, parsed)) ?? 0;
  } finally {
    client.close();
  }
}

/** What is wrong with the number of arguments, in the docker CLI's words. */
function arityComplaint({ min, max }: Arity, count: number): string | undefined {
  if (count >= min && count <= max) return undefined;
  if (max === 0) return 'accepts no arguments';
  const amount = (number: number): string => `${number} argument${number === 1 ? '' : 's'}`;
  if (min === max) return `requires ${amount(min)}`;
  if (max === Number.POSITIVE_INFINITY) return `requires at least ${amount(min)}`;
  if (min === 0) return `requires at most ${amount(max)}`;
  return `requires at least ${min} and at most ${amount(max)}`;
}

function programHelp(io: ProcessIo): string {
  const { groups, commands } = commandTree();
  return [
    `Usage:  ${PROGRAM} [OPTIONS] COMMAND`,
    'Run services on a cluster of Docker engines',
    `Commands:\n${commandLines(commands)}`,
    `Management Commands:\n${commandLines(groups)}`,
    `Global Options:\n${flagLines(GLOBAL_FLAGS, io.stdout.columns)}`,
    `Run '${PROGRAM} COMMAND --help' for more information on a command.\n`,
  ].join('\n\n');
}
