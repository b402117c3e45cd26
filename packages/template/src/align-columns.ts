/** How columns are aligned. */
export type ColumnLayout = {
  /** Least width of a column, its padding included. */
  minWidth: number;
  /** Spaces after the widest cell of a column. */
  padding: number;
};

/** The docker CLI's layout of tables. */
export const DOCKER_COLUMNS: ColumnLayout = { minWidth: 10, padding: 3 };

/**
 * Aligns cells that end in tabs, as Go's text/tabwriter does with spaces for padding: a column is a block of adjacent
 * lines that all have a tab-terminated cell there, and what follows a line's last tab belongs to none. Wide East Asian
 * characters and emoji count two, combining marks nothing (the docker CLI's tabwriter differs from Go's in this).
 */
export function alignColumns(text: string, { minWidth, padding }: ColumnLayout = DOCKER_COLUMNS): string {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const widths: number[][] = lines.map(() => []);
  const columns = lines.reduce((most, cells) => Math.max(most, cells.length - 1), 0);
  for (let column = 0; column < columns; column++) {
    let start = 0;
    while (start < lines.length) {
      if (column >= lines[start]!.length - 1) {
        start++;
        continue;
      }
      let end = start;
      let width = minWidth;
      for (; end < lines.length && column < lines[end]!.length - 1; end++) {
        width = Math.max(width, displayWidth(lines[end]![column]!) + padding);
      }
      for (let line = start; line < end; line++) widths[line]![column] = width;
      start = end;
    }
  }
  return lines
    .map((cells, line) => cells.map((cell, column) => padTo(cell, widths[line]![column] ?? 0)).join(''))
    .join('\n');
}

function padTo(cell: string, width: number): string {
  return width === 0 ? cell : cell + ' '.repeat(Math.max(0, width - displayWidth(cell)));
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{1fa70}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Cells the text takes on a terminal. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) {
    if (/[\p{Mn}\p{Me}\p{Cc}\p{Cf}]/u.test(char)) continue;
    width += WIDE.test(char) ? 2 : 1;
  }
  return width;
}
