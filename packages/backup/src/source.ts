/** Reads a stream of bytes in pieces of the reader's choice. Holds no more than one piece and what it came with. */
export class ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  #taken = 0;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** Bytes handed out so far. */
  get taken(): number {
    return this.#taken;
  }

  /** The next `length` bytes; fewer when the stream ends before. */
  async take(length: number): Promise<Buffer> {
    while (this.#held.length < length && (await this.#more()));
    return this.#cut(Math.min(length, this.#held.length));
  }

  /** The bytes up to and with the next newline; `undefined` when none comes within `limit` bytes. */
  async takeLine(limit: number): Promise<Buffer | undefined> {
    for (;;) {
      const end = this.#held.subarray(0, limit).indexOf(10);
      if (end >= 0) return this.#cut(end + 1);
      if (this.#held.length >= limit || !(await this.#more())) return undefined;
    }
  }

  /** Lets go of the stream. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  #cut(length: number): Buffer {
    const piece = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    this.#taken += length;
    return piece;
  }

  async #more(): Promise<boolean> {
    const next = await this.#iterator.next();
    if (next.done === true) return false;
    this.#held = Buffer.concat([this.#held, next.value]);
    return true;
  }
}
