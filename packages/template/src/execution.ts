import { type ErrorPlace, executionError, type TemplateError } from './errors.js';
import { type CallNode, type CommandNode, describeNode, type OperandNode } from './nodes.js';

/** What a missing key does: prints `<no value>`, is an error, or is the empty string. */
export type Missing = 'no value' | 'error' | 'zero';

// Go needs no bounds: it runs such templates in a thread of their own. Here they would hold up the process.
const STEP_LIMIT = 1_000_000;
const TEXT_LIMIT_CHARS = 64 * 1024 * 1024;
const CHARS_PER_STEP = 256;
const DEPTH_LIMIT = 500;

/** One execution of a template and of those it calls. */
export class Execution {
  /** What has been written so far. */
  output = '';
  private steps = 0;
  private depth = 0;

  write(text: string): void {
    this.output += text;
    if (this.output.length > TEXT_LIMIT_CHARS) throw new Error(`text exceeds ${TEXT_LIMIT_CHARS} characters`);
  }

  /** Counts a turn of a loop or a call of a template; throws when there are too many. */
  step(): void {
    this.spend(1);
  }

  /** Counts the text that goes into a function or comes out; throws when it is too long or too much in all. */
  readText(value: unknown): void {
    if (typeof value !== 'string') return;
    if (value.length > TEXT_LIMIT_CHARS) throw new Error(`text exceeds ${TEXT_LIMIT_CHARS} characters`);
    this.spend(value.length / CHARS_PER_STEP);
  }

  private spend(steps: number): void {
    this.steps += steps;
    if (this.steps > STEP_LIMIT) throw new Error(`exceeded ${STEP_LIMIT} steps`);
  }

  /** Runs the body of a called template. */
  nested(run: () => void): void {
    this.step();
    if (this.depth >= DEPTH_LIMIT) throw new Error(`exceeded maximum template depth (${DEPTH_LIMIT})`);
    this.depth++;
    run();
    this.depth--;
  }
}

/** One run of a template's body: its variables by slot, and where the output goes. */
export type Frame = { execution: Execution; variables: unknown[] };

/** Compiled expression: its value for a dot. */
export type Evaluate = (dot: unknown, frame: Frame) => unknown;

/** What a body leaves its loop with. */
export type Signal = 'break' | 'continue' | undefined;

/** Compiled statement. */
export type Run = (dot: unknown, frame: Frame) => Signal;

/** The template that is being compiled. */
export type CompileContext = {
  parseName: string;
  executing: string;
  source: string;
  missing: Missing;
};

/** Makes the function that words errors which happen at `node`. */
export function failureAt(
  { parseName, executing, source }: CompileContext,
  node: OperandNode | CommandNode | CallNode,
): (detail: string) => TemplateError {
  return (detail) => {
    const place: ErrorPlace = { parseName, executing, source, offset: node.offset, node: describeNode(node) };
    return executionError(place, detail);
  };
}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
