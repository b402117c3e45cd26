import type { Readable } from 'node:stream';

/** Longest line that is kept; the engine's JSON lines are far shorter. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;

/** The non-empty lines of a stream as text. Destroys the stream when the loop over it ends early. */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_BYTES) throw new Error('a line of the engine is too long');
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}
