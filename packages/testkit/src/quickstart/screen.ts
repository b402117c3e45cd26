import type { Writable } from 'node:stream';

/** What a step may print while it goes on. */
export type Tell = (line: string) => void;

/** Where the quickstart writes: steps with a name and the time they took, and text between them. */
export interface Screen {
  /** Runs one step; what it resolves with is said in its closing line. Rejects as `work` does. */
  step(name: string, work: (tell: Tell) => Promise<string>): Promise<void>;
  say(text: string): void;
}

/** A {@link Screen} on a stream. `now` is in milliseconds. */
export function createScreen(stream: Writable, now: () => number): Screen {
  const write = (text: string): void => {
    stream.write(`${text}\n`);
  };
  return {
    async step(name, work) {
      const startedMs = now();
      const took = (): string => `${((now() - startedMs) / 1000).toFixed(1)} s`;
      write(`▸ ${name}`);
      let result: string;
      try {
        result = await work((line) => write(indent(line, '    ')));
      } catch (error) {
        write(`  ✗ after ${took()}`);
        throw error;
      }
      write(`  ✓ ${result} (${took()})`);
    },
    say: write,
  };
}

/** Puts `prefix` before every line of a text, without its last line break. */
export function indent(text: string, prefix: string): string {
  return text.trimEnd().replace(/^(?=.)/gm, prefix);
}
