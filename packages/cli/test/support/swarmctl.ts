import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Screen } from '../../src/index.js';
import { run } from '../../src/index.js';
import type { World } from './world.js';

/** What a command printed and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What was written that is no text. */
  readonly bytes: Buffer;
}

/** The surroundings of one command. */
export interface Surroundings {
  stdin?: string;
  env?: Record<string, string>;
  directory?: string;
  signal?: AbortSignal;
}

/** Runs commands in this process against a world. */
export function swarmctlFor(world: Pick<World, 'socket' | 'clock'>) {
  const config = mkdtempSync(join(tmpdir(), 'cli-config-'));
  return async (args: readonly string[], around: Surroundings = {}): Promise<Outcome> => {
    const stdout = new CapturedScreen();
    const stderr = new CapturedScreen();
    const code = await run(args, {
      stdout,
      stderr,
      stdin: Readable.from([around.stdin ?? '']),
      env: { SWARMCTL_HOST: `unix://${world.socket}`, DOCKER_CONFIG: config, ...around.env },
      directory: around.directory ?? config,
      signal: around.signal ?? new AbortController().signal,
      now: () => world.clock.now(),
    });
    return { code, stdout: stdout.text, stderr: stderr.text, bytes: Buffer.concat(stdout.bytes) };
  };
}

/** A screen that keeps what is written; no terminal unless told. */
export class CapturedScreen implements Screen {
  text = '';
  readonly isTerminal: boolean;
  readonly columns: number;

  constructor({ isTerminal = false, columns = 80 } = {}) {
    this.isTerminal = isTerminal;
    this.columns = columns;
  }

  readonly bytes: Uint8Array[] = [];

  write(text: string): void {
    this.text += text;
  }

  async writeBytes(bytes: Uint8Array): Promise<void> {
    this.bytes.push(bytes);
  }
}
