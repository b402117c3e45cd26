/** Reads LevelDB's little-endian and variable-length numbers. Past the end it throws `RangeError`. */
export class LevelDbReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whether everything has been read. */
  get atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** A variable-length number of up to 64 bits. Precise to 2⁵³, beyond anything that a store's files hold. */
  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#offset++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      if (factor > 2 ** 63) throw new RangeError('a number of more than 64 bits');
    }
  }

  /** Some bytes. */
  bytes(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError('out of bytes');
    const bytes = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return bytes;
  }

  /** Bytes that are preceded by their number. */
  slice(): Buffer {
    return this.bytes(this.number());
  }
}
