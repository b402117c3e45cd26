import * as fc from 'fast-check';
import t from 'tap';
import { alignColumns, displayWidth, formatTable } from '../src/index.js';

const headers = { ID: 'ID', Name: 'NAME', Labels: 'LABELS' };
const labels: Readonly<Record<string, string>> = { 'com.example.rack-no': 'r1' };
const rows = [
  { ID: 'abcdefghijklmnopqrstuvwxy', Name: 'web', Labels: '' },
  { ID: 'id2', Name: '名前の長い設定😀x', Labels: () => 'a=b,z=1', Label: (key: string) => labels[key] ?? '' },
  { ID: 'id3', Name: 'e\u0301t\u00e9', Labels: 'k=v', Label: () => '' },
];

function table(format: string): string {
  return formatTable(format, headers, rows, { defaultTable: '{{.ID}}\\t{{.Name}}', typeName: '*config.configContext' });
}

t.test('format › a table has headers and columns at least ten wide, three apart', async (t) => {
  const expected =
    'ID                          NAME\n' +
    'abcdefghijklmnopqrstuvwxy   web\n' +
    'id2                         名前の長い設定😀x\n' +
    'id3                         e\u0301t\u00e9\n';
  for (const format of ['table {{.ID}}\\t{{.Name}}', 'table {{.ID}}\t{{.Name}}', 'table', '']) {
    t.equal(table(format), expected, format);
  }
});

t.test('format › wide characters take two cells and combining ones none', async (t) => {
  t.equal(
    table('table {{.Name}}\\t{{.Labels}}\\t{{truncate .ID 3}}'),
    'NAME                LABELS    ID\n' +
      'web                           abc\n' +
      '名前の長い設定😀x   a=b,z=1   id2\n' +
      'e\u0301t\u00e9                 k=v       id3\n',
  );
});

t.test('format › functions leave headers as they are, and a label’s header is the end of its key', async (t) => {
  const format = 'table {{upper .ID | lower}}\\t{{split .Labels ","}}';
  t.equal(formatTable(format, headers, [{ ID: 'x', Labels: 'a,b' }]), 'ID        LABELS\nx         [a b]\n');
  t.equal(
    formatTable('table {{.Label "com.example.rack-no"}}\\t{{.ID}}', headers, rows.slice(1)),
    'rack no   ID\nr1        id2\n          id3\n',
  );
});

t.test('format › a table without rows is its header', async (t) => {
  t.equal(formatTable('table {{.ID}}\\t{{.Nope}}', headers, []), 'ID        <no value>\n');
});

t.test('format › json is an object a line with sorted keys and without methods', async (t) => {
  const line = '{"ID":"id2","Labels":"a=b,z=1","Name":"名前の長い設定😀x"}\n';
  t.equal(formatTable('json', headers, [rows[1]!]), line);
  t.equal(formatTable('{{json .}}', headers, [rows[1]!]), line);
  t.equal(formatTable('json', headers, []), '');
});

t.test('format › a plain template is a line a row', async (t) => {
  t.equal(formatTable('{{.ID}}\\t{{.Name}}', headers, rows.slice(0, 1)), 'abcdefghijklmnopqrstuvwxy\tweb\n');
  t.equal(formatTable('{{.ID}}', headers, []), '');
});

t.test('format › an unknown field is an error that names it', async (t) => {
  t.throws(() => table('{{.Nope}}'), {
    message: `template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *config.configContext`,
  });
  t.throws(() => table('table {{'), { message: 'template: :1: unclosed action' });
});

t.test('columns › a column is a block of adjacent lines that have a cell there', async (t) => {
  t.equal(
    alignColumns('a\tb\nlonger than ten\tc\n\nx\ty\t\n'),
    'a                 b\nlonger than ten   c\n\nx         y         \n',
  );
  t.equal(
    alignColumns('aaaa\tbbb\td\naa\tb\tdd\na\t\naa\tcccc\teee', { minWidth: 0, padding: 1 }),
    'aaaa bbb d\naa   b   dd\na    \naa   cccc eee',
  );
});

const cell = fc.string({ unit: fc.constantFrom('a', 'é', '名', ' ', '-', 'x'), maxLength: 15 });
const grid = fc
  .integer({ min: 1, max: 5 })
  .chain((columns) => fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: 1 }));

t.test('columns › in a full grid every column begins at the same place', async () => {
  await fc.assert(
    fc.property(grid, (lines) => {
      const aligned = alignColumns(lines.map((cells) => `${cells.join('\t')}\tend`).join('\n')).split('\n');
      const starts = aligned.map((line) => displayWidth(line.slice(0, line.length - 'end'.length)));
      const widths = lines[0]!.map((_, column) =>
        Math.max(10, ...lines.map((cells) => displayWidth(cells[column]!) + 3)),
      );
      const expected = widths.reduce((sum, width) => sum + width, 0);
      return starts.every((start) => start === expected);
    }),
  );
});

t.test('columns › aligning changes nothing but tabs', async () => {
  await fc.assert(
    fc.property(fc.array(fc.array(cell)), (lines) => {
      const text = lines.map((cells) => cells.join('\t')).join('\n');
      return alignColumns(text).replaceAll(' ', '') === text.replace(/[ \t]/g, '');
    }),
  );
});
