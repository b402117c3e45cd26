import { type FormatRow, formatTable, TemplateError } from '@swarmd/template';
import type { CommandContext } from '../program/command.js';
import { CommandError } from '../program/errors.js';
import { bool, list, text } from '../program/flag-types.js';

const FORMAT_USAGE = [
  'Format output using a custom template:',
  "'table':            Print output in table format with column headers (default)",
  "'table TEMPLATE':   Print output in table format using the given Go template",
  "'json':             Print in JSON format",
  "'TEMPLATE':         Print output using the given Go template.",
  'Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates',
].join('\n');

const INSPECT_FORMAT_USAGE = FORMAT_USAGE.split('\n').toSpliced(1, 2).join('\n');

/** `--format` of commands that list things. */
export const formatFlag = text(FORMAT_USAGE, { words: ['table', 'json'] });
/** `--format` of commands that show single things. */
export const inspectFormatFlag = text(INSPECT_FORMAT_USAGE, { short: 'f', words: ['json'] });
/** `--quiet` of commands that list things. */
export const quietFlag = bool('Only display IDs', { short: 'q' });
/** `--filter` of commands that list things. */
export const filterFlag = list('Filter output based on conditions provided', {
  short: 'f',
  typeName: 'filter',
  check: checkFilter,
});

function checkFilter(value: string): string {
  if (!value.includes('=')) throw new Error('bad format of filter (expected name=value)');
  return value;
}

/** Filters as the API takes them, from `name=value` texts. */
export function parseFilters(given: readonly string[]): Record<string, string[]> {
  const filters: Record<string, string[]> = {};
  for (const item of given) {
    const at = item.indexOf('=');
    const name = item.slice(0, at).trim().toLowerCase();
    filters[name] = [...(filters[name] ?? []), item.slice(at + 1).trim()];
  }
  return filters;
}

/** How a kind of list looks when nobody says otherwise. */
export interface ListLayout {
  readonly headers: Readonly<Record<string, string>>;
  /** The template of the default table. */
  readonly table: string;
}

/** Prints rows in the format asked for. Throws CommandError for a template that does not work. */
export function printList(
  context: Pick<CommandContext, 'out'>,
  layout: ListLayout,
  rows: readonly FormatRow[],
  { format = '', quiet = false }: { format?: string | undefined; quiet?: boolean },
): void {
  const wanted = quiet && (format === '' || format === 'table') ? '{{.ID}}' : format;
  try {
    context.out.write(formatTable(wanted, layout.headers, rows, { defaultTable: layout.table }));
  } catch (thrown) {
    throw templateFailure(thrown);
  }
}

/** The docker CLI's message for a template that cannot be parsed or executed. */
export function templateFailure(thrown: unknown): unknown {
  return thrown instanceof TemplateError ? new CommandError(`template parsing error: ${thrown.message}`) : thrown;
}

/** First character as a capital, the rest small: how the docker CLI shows states. */
export function prettyPrint(value: string | undefined): string {
  return value === undefined || value === '' ? '' : value[0]!.toUpperCase() + value.slice(1).toLowerCase();
}

/** The first twelve characters of an ID. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
