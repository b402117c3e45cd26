import { DEFAULT_COLUMNS } from '../program/usage.js';

/** Where text goes, and what is known of the place. */
export interface Screen {
  write(text: string): void;
  /** Writes what is no text; resolves once there is room for more. */
  writeBytes(bytes: Uint8Array): Promise<void>;
  /** Whether a person is looking: a terminal that can be drawn on. */
  readonly isTerminal: boolean;
  /** Characters in a line. */
  readonly columns: number;
}

/** A screen over a process's stream. */
export function streamScreen(stream: NodeJS.WriteStream): Screen {
  return {
    write: (text) => void stream.write(text),
    writeBytes: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    isTerminal: stream.isTTY === true,
    get columns() {
      // A terminal without a size says 0.
      return stream.columns || DEFAULT_COLUMNS;
    },
  };
}
