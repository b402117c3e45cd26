import type { Readable, Writable } from 'node:stream';

/**
 * Forwards `source` to `sink`, each chunk two turns of the event loop after it came, and then ends `sink`. The turns
 * let an answer that has already arrived be read first: an engine that answers early closes its side, and a write to
 * a closed side makes Node throw the unread answer away. The returned function drops what is still to come.
 */
export function laggingPump(source: Readable, sink: Writable): () => void {
  let stopped = false;
  const forward = (chunk: Buffer): void => {
    if (stopped || sink.destroyed) source.resume();
    else if (sink.write(chunk)) source.resume();
    else sink.once('drain', () => source.resume());
  };
  source.on('data', (chunk: Buffer) => {
    source.pause();
    afterTwoTurns(() => forward(chunk));
  });
  source.on('end', () => {
    afterTwoTurns(() => {
      if (!stopped && !sink.destroyed) sink.end();
    });
  });
  return () => {
    stopped = true;
    source.resume();
  };
}

function afterTwoTurns(fn: () => void): void {
  setImmediate(() => setImmediate(fn));
}
