const HEADER_BYTES = 8;

/** A piece of a multiplexed stream: 1 is stdout, 2 stderr. */
export interface LogFrame {
  readonly stream: number;
  readonly data: Buffer;
}

/**
 * Splits a multiplexed stream into its frames, however its chunks are cut: a byte for the stream, three empty ones, four
 * for the length, then the data. Source: Docker Engine API, "Stream format" of attach.
 */
export async function* readFrames(chunks: AsyncIterable<Buffer | string>): AsyncGenerator<LogFrame> {
  let pending = Buffer.alloc(0);
  for await (const chunk of chunks) {
    pending = Buffer.concat([pending, Buffer.from(chunk)]);
    for (;;) {
      if (pending.length < HEADER_BYTES) break;
      const end = HEADER_BYTES + pending.readUInt32BE(4);
      if (pending.length < end) break;
      yield { stream: pending[0]!, data: pending.subarray(HEADER_BYTES, end) };
      pending = pending.subarray(end);
    }
  }
}
