import { alignColumns } from './align-columns.js';
import { DOCKER_FUNCTIONS, HEADER_FUNCTIONS, toGoJson } from './docker-functions.js';
import { parseTemplate } from './template.js';
import { compareStrings, structValue } from './values.js';

/** A row: fields by the names users write in templates; a function is called for its value. */
export type FormatRow = Readonly<Record<string, unknown>>;

/** Options of `formatTable`. */
export type FormatOptions = {
  /** The template of a bare `table` (and of no format at all), without the word `table`. */
  defaultTable?: string;
  /** The rows' type as an error about an unknown field names it. */
  typeName?: string;
};

/**
 * The output of a docker `--format` option, `FORMAT` being `table TEMPLATE`, `table`, `json` or a template:
 * - `table …` has a line of headers (`headers` maps fields to them) and aligned columns, `\t` and `\n` in it stand for
 *   tab and newline;
 * - `json` is an object a line, keys sorted;
 * - any other template is executed once a row, a line each.
 * Ends in a newline unless empty. Throws TemplateError, also for a field that rows do not have.
 */
export function formatTable(
  format: string,
  headers: Readonly<Record<string, string>>,
  rows: readonly FormatRow[],
  options: FormatOptions = {},
): string {
  const { defaultTable = '', typeName = '*formatter.row' } = options;
  if (format === 'json') return rows.map((row) => `${toGoJson(rowValue(row, typeName))}\n`).join('');
  const isTable = format === '' || format.startsWith('table');
  const text = expandEscapes((isTable ? format.slice('table'.length) : format).replace(/^ +| +$/g, ''));
  const source = isTable && text === '' ? expandEscapes(defaultTable) : text;
  const template = parseTemplate(source, { functions: DOCKER_FUNCTIONS });
  const lines = rows.map((row) => `${template.execute(rowValue(row, typeName))}\n`).join('');
  if (!isTable) return lines;
  const header = parseTemplate(source, { functions: HEADER_FUNCTIONS }).executePartially({
    Label: labelHeader,
    ...headers,
  }).text;
  return alignColumns(`${header}\n${lines}`);
}

function rowValue(row: FormatRow, typeName: string): object {
  const sorted = Object.entries(row).sort(([a], [b]) => compareStrings(a, b));
  return structValue(typeName, Object.fromEntries(sorted));
}

/** The header of a `{{.Label "com.example.some-key"}}` column. */
function labelHeader(key: unknown): string {
  return String(key).split('.').at(-1)!.replace(/[-_]/g, ' ');
}

function expandEscapes(format: string): string {
  return format.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}
