/** A message as it goes over TCP: with its length before it. */
export function tcpMessage(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Cuts what comes over TCP into messages. Holds at most one message more than it was given at once. */
export class MessageReader {
  #left: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): void {
    this.#left = this.#left.length === 0 ? chunk : Buffer.concat([this.#left, chunk]);
  }

  /** The next whole message, if there is one. */
  next(): Buffer | undefined {
    if (this.#left.length < 2) return undefined;
    const end = 2 + this.#left.readUInt16BE(0);
    if (this.#left.length < end) return undefined;
    const message = this.#left.subarray(2, end);
    this.#left = this.#left.subarray(end);
    return message;
  }
}
