/**
 * What `parseTemplate` and `Template.execute` throw: the message is worded as Go's text/template words it
 * (`template: NAME:LINE: …` when parsing, `template: NAME:LINE:COLUMN: executing "NAME" at <NODE>: …` when executing).
 */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  /** The message without its `template: …` prefix. */
  readonly detail: string;
  /** Line of the template, from 1. */
  readonly line: number;
  /** Byte offset in the line, from 0; only errors of execution have one. */
  readonly column: number | undefined;

  constructor(message: string, at: { detail: string; line: number; column?: number }) {
    super(message);
    this.detail = at.detail;
    this.line = at.line;
    this.column = at.column;
  }
}

/** The error of parsing `templateName` at `line`, in Go's words. */
export function parseError(templateName: string, line: number, detail: string): TemplateError {
  return new TemplateError(`template: ${templateName}:${line}: ${detail}`, { detail, line });
}

/** Where an error of execution happened: the template's text and the node in it. */
export type ErrorPlace = {
  /** Name given to the parsed text. */
  parseName: string;
  /** Name of the `define`d template being executed, or again `parseName`. */
  executing: string;
  source: string;
  /** Offset of the node in `source`, in UTF-16 units. */
  offset: number;
  /** The node as it prints. */
  node: string;
};

/** The error of executing the node at `place`, in Go's words. */
export function executionError(place: ErrorPlace, detail: string): TemplateError {
  const before = place.source.slice(0, place.offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  const column = Buffer.byteLength(before.slice(lineStart));
  const where = `${place.parseName}:${line}:${column}`;
  return new TemplateError(
    `template: ${where}: executing ${JSON.stringify(place.executing)} at <${place.node}>: ${detail}`,
    { detail, line, column },
  );
}
