import type { Readable, Writable } from 'node:stream';

/**
 * Forwards `source` to `sink`, each chunk one turn of the event loop after it came, and then ends `sink`. The turn
 * lets an answer that has already arrived be read first: an engine that answers early closes its side, and a write to
 * a closed side makes Node throw the unread answer away. The returned function drops what is still to come.
 */
export function laggingPump(source: Readable, sink: Writable): () => void {
  let stopped = false;
  const forward = (chunk: Buffer): void => {
    source.pause();
    setImmediate(() => {
      if (stopped || sink.destroyed) {
        source.resume();
        return;
      }
      if (sink.write(chunk)) source.resume();
      else sink.once('drain', () => source.resume());
    });
  };
  source.on('data', forward);
  source.on('end', () => {
    setImmediate(() => {
      if (!stopped && !sink.destroyed) sink.end();
    });
  });
  return () => {
    stopped = true;
    source.resume();
  };
}
