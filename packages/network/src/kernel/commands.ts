import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { SwarmdError } from '@swarmd/model';
import type { Namespaces } from '../parts.js';

/** Runs the tools that change the kernel's tables, inside a namespace. */
export interface Commands {
  /** What it prints; `unavailable` when it cannot be started or fails, `deadline-exceeded` when it takes too long. */
  run(namespace: string, argv: readonly string[], input?: string): Promise<string>;
  /**
   * Runs lines of `ip` or `bridge` in order. A line that begins with `-` may fail; any other one that fails is named in
   * an `unavailable` error, and those after it are run all the same.
   */
  batch(namespace: string, tool: 'ip' | 'bridge', lines: readonly string[]): Promise<void>;
  /** Loads commands of nft as one transaction: all, or with an `unavailable` error that names the line, none. */
  nft(namespace: string, lines: readonly string[]): Promise<void>;
}

/** Enough for tens of thousands of entries; less than the engine's patience. */
const TIMEOUT_MS = 20_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
/** More at once would only wait for a core, with their memory. */
const MAX_RUNNING = 16;
const MAX_WAITING = 10_000;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Commands that enter through `namespaces`. */
export function createCommands(namespaces: Namespaces): Commands {
  const slots = createSlots();
  const env = { ...process.env, PATH: searchPath(process.env['PATH']), LC_ALL: 'C' };
  const execute = async (namespace: string, argv: readonly string[], input: string): Promise<Ended> => {
    const release = await slots();
    try {
      const [file = '', ...args] = argv;
      return await collect(
        namespaces.inside(namespace, () => spawn(file, args, { env })),
        argv,
        input,
      );
    } finally {
      release();
    }
  };
  return {
    async run(namespace, argv, input = '') {
      const ended = await execute(namespace, argv, input);
      if (ended.code !== 0) throw failure(argv.join(' '), ended);
      return ended.stdout;
    },
    async batch(namespace, tool, lines) {
      if (lines.length === 0) return;
      const bare = lines.map((line) => line.replace(/^-/, ''));
      const ended = await execute(namespace, [tool, '-force', '-batch', '-'], `${bare.join('\n')}\n`);
      if (ended.code === 0) return;
      const failed = [...ended.stderr.matchAll(/^Command failed .*:(\d+)$/gm)].map((match) => Number(match[1]) - 1);
      const first = failed.find((index) => !lines[index]?.startsWith('-'));
      if (first !== undefined) throw failure(`${tool} ${lines[first]}`, ended);
      // Nothing is named: it ended before all lines were run.
      if (failed.length === 0) throw failure(`${tool} -batch`, ended);
    },
    async nft(namespace, lines) {
      if (lines.length === 0) return;
      const ended = await execute(namespace, ['nft', '-f', '-'], `${lines.join('\n')}\n`);
      if (ended.code === 0) return;
      const line = /^[^:\n]*:(\d+):/m.exec(ended.stderr)?.[1];
      throw failure(`nft ${line === undefined ? '-f' : lines[Number(line) - 1]}`, ended);
    },
  };
}

/** `path` with the directories that Debian keeps these tools in. */
function searchPath(path: string | undefined): string {
  return [path, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].filter(Boolean).join(':');
}

function failure(what: string, ended: Ended): SwarmdError {
  const reason = ended.stderr.trim().split('\n').slice(0, 5).join('; ').slice(0, 1000);
  return new SwarmdError('unavailable', `${what.slice(0, 500)}: ${reason || `exit code ${ended.code}`}`);
}

function collect(child: ChildProcessWithoutNullStreams, argv: readonly string[], input: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const label = argv.join(' ');
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let size = 0;
    const stop = (error: SwarmdError): void => {
      child.kill('SIGKILL');
      reject(error);
    };
    const late = () => stop(new SwarmdError('deadline-exceeded', `${label}: not finished after ${TIMEOUT_MS} ms`));
    const timer = setTimeout(late, TIMEOUT_MS);
    const keep = (chunks: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_OUTPUT_BYTES) stop(new SwarmdError('internal', `${label}: prints too much`));
      else chunks.push(chunk);
    };
    child.stdout.on('data', keep(out));
    child.stderr.on('data', keep(err));
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new SwarmdError('unavailable', `${label}: ${cause.message}`, { cause }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
      resolve({ code: code ?? 128, stdout: text(out), stderr: text(err) });
    });
    // It may end before it has read everything; its exit code tells why.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Hands out {@link MAX_RUNNING} slots in the order in which they were asked for. */
function createSlots(): () => Promise<() => void> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else running--;
  };
  return async () => {
    if (running < MAX_RUNNING) running++;
    else if (waiting.length >= MAX_WAITING) throw new SwarmdError('unavailable', 'too many commands are waiting');
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return release;
  };
}
