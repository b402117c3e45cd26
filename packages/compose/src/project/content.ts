/**
 * The content of a secret or config. It shows itself neither to JSON nor to a console, so that printing or logging a
 * project gives nothing away; only {@link FileContent.base64} does.
 */
export class FileContent {
  readonly #bytes: Uint8Array;

  constructor(content: string | Uint8Array) {
    this.#bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  }

  /** The content as the Docker Engine API takes it. */
  base64(): string {
    return Buffer.from(this.#bytes).toString('base64');
  }
}
