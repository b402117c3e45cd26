import type { Command, Flags, Group } from './command.js';

/** Width that help is wrapped to where there is no terminal. */
export const DEFAULT_COLUMNS = 80;
const SLOP = 5;
const MIN_BODY = 24;

/** `Usage:  swarmctl service ls [OPTIONS]` without the first word; `path` is the command with its parents. */
export function usageLine(path: string, command: Command): string {
  const options = Object.keys(command.flags).length > 0 ? ' [OPTIONS]' : '';
  return `${path}${options}${command.synopsis === '' ? '' : ` ${command.synopsis}`}`;
}

/** The help of a command, laid out as the docker CLI's. */
export function commandHelp(path: string, command: Command, columns = DEFAULT_COLUMNS): string {
  const parts = [`Usage:  ${usageLine(path, command)}`, command.summary];
  if (command.aliases.length > 0) {
    const parent = path.split(' ').slice(0, -1).join(' ');
    const names = [command.name, ...command.aliases].map((name) => `${parent} ${name}`);
    parts.push(`Aliases:\n  ${names.join(', ')}`);
  }
  if (Object.keys(command.flags).length > 0) parts.push(`Options:\n${flagLines(command.flags, columns)}`);
  return `${parts.join('\n\n')}\n`;
}

/** The help of a group of commands. */
export function groupHelp(path: string, group: Pick<Group, 'summary' | 'commands'>): string {
  return [
    `Usage:  ${path} COMMAND`,
    group.summary,
    `Commands:\n${commandLines(group.commands)}`,
    `Run '${path} COMMAND --help' for more information on a command.\n`,
  ].join('\n\n');
}

/** A line a command: its name and summary. */
export function commandLines(commands: readonly { name: string; summary: string }[]): string {
  const shown = commands.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const width = Math.max(11, ...shown.map(({ name }) => name.length));
  return shown.map(({ name, summary }) => `  ${name.padEnd(width)} ${summary}`).join('\n');
}

/** A line or more a flag, sorted, the explanations wrapped beside the names. */
export function flagLines(flags: Flags, columns: number): string {
  const rows = Object.entries(flags)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => {
      const head = `${flag.short === undefined ? '      ' : `  -${flag.short}, `}--${name}`;
      const explanation = flag.defaultText === undefined ? flag.usage : `${flag.usage} (default ${flag.defaultText})`;
      return { head: flag.typeName === '' ? head : `${head} ${flag.typeName}`, explanation };
    });
  const indent = Math.max(...rows.map(({ head }) => head.length)) + 3;
  return rows
    .map(({ head, explanation }) => `${head.padEnd(indent)}${wrap(explanation, indent, columns - 1)}`)
    .join('\n');
}

/** Wraps `text` that starts at column `indent`, up to `columns`; a line may run over a little rather than leave a word. */
export function wrap(text: string, indent: number, columns: number): string {
  const body = columns - indent;
  if (body < MIN_BODY) return text.replaceAll('\n', `\n${' '.repeat(indent)}`);
  const width = body - SLOP;
  const lines: string[] = [];
  let rest = text;
  while (rest !== '') {
    const cut = cutPoint(rest, width);
    lines.push(rest.slice(0, cut));
    rest = rest.slice(cut + 1);
  }
  return lines.join(`\n${' '.repeat(indent)}`).replaceAll(/\n(?! )/g, `\n${' '.repeat(indent)}`);
}

function cutPoint(text: string, width: number): number {
  const newline = text.indexOf('\n');
  if (newline !== -1 && newline < width + SLOP) return newline;
  if (width + SLOP > text.length) return text.length;
  const head = text.slice(0, width);
  const space = Math.max(head.lastIndexOf(' '), head.lastIndexOf('\t'));
  return space <= 0 ? text.length : space;
}
