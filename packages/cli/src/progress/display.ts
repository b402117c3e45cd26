import type { Screen } from '../output/screen.js';
import type { ProgressLine } from './service-progress.js';

const BAR_WIDTH = 50;
const LABEL_WIDTH = 9;

/**
 * Progress on a screen. On a terminal the lines are drawn over and over in place; elsewhere each line is printed when
 * its words change, so that a log keeps the history.
 */
export class ProgressDisplay {
  private readonly screen: Screen;
  private readonly said = new Map<string, string>();
  private drawn = 0;
  private last = '';

  constructor(screen: Screen) {
    this.screen = screen;
  }

  /** Shows the lines as they are now. */
  show(lines: readonly ProgressLine[]): void {
    if (this.screen.isTerminal) this.draw(lines);
    else this.print(lines);
  }

  private draw(lines: readonly ProgressLine[]): void {
    const up = this.drawn > 0 ? `\u001b[${this.drawn}A` : '';
    const rows = lines.map((line) => `\u001b[2K\r${fit(drawnLine(line, this.screen.columns), this.screen.columns)}\n`);
    if (rows.join('') === this.last) return;
    this.last = rows.join('');
    // What is left of a longer drawing goes away.
    this.screen.write(`${up}${rows.join('')}\u001b[J`);
    this.drawn = lines.length;
  }

  private print(lines: readonly ProgressLine[]): void {
    for (const { id, text } of lines) {
      if (text === '' || this.said.get(id) === text) continue;
      this.said.set(id, text);
      this.screen.write(`${id}: ${text}\n`);
    }
  }
}

function drawnLine({ id, text, fraction }: ProgressLine, columns: number): string {
  if (id === '') return text;
  if (fraction === undefined) return `${id}: ${text}`;
  const head = `${id}: ${text.padEnd(LABEL_WIDTH)} `;
  const width = Math.min(BAR_WIDTH, columns - head.length - 3);
  if (width < 5) return head;
  const filled = Math.round(fraction * width);
  const arrow = filled < width ? '>' : '';
  return `${head}[${'='.repeat(filled)}${arrow}${' '.repeat(Math.max(0, width - filled - arrow.length))}]`;
}

function fit(text: string, columns: number): string {
  return text.length > columns ? `${text.slice(0, columns - 1)}…` : text;
}
