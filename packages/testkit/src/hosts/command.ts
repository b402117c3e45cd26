import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { SwarmdError } from '@swarmd/model';

/** What a finished command left: its exit code (128 + the signal's number when a signal ended it) and its output. */
export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Bounds of one command: it is killed when `signal` aborts or `timeoutMs` (60,000 unless told) have passed. */
export interface CommandOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Written to the command's standard input, which is empty otherwise. */
  input?: string | Uint8Array;
  env?: NodeJS.ProcessEnv;
}

const defaultTimeoutMs = 60_000;
/** Enough for any listing; a command gone wild must not fill the test's memory. */
const maxOutputBytes = 16 * 1024 * 1024;

/** PATH with the directories Debian keeps daemons and network tools in, and `first` before everything. */
export function searchPath(first?: string): string {
  return [first, process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']
    .filter(Boolean)
    .join(':');
}

/**
 * Collects what `child` prints until it ends. Rejects with the signal's reason when aborted, and with an Error that
 * names the command when it could not be started or ran longer than `timeoutMs`; the child is killed first.
 */
export function collect(child: ChildProcess, label: string, options: CommandOptions = {}): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  return new Promise((resolve, reject) => {
    let size = 0;
    const stop = (reason: unknown) => {
      child.kill('SIGKILL');
      finish(() => reject(reason));
    };
    const onAbort = () => stop(options.signal?.reason);
    const timer = setTimeout(
      () =>
        stop(
          new SwarmdError('deadline-exceeded', `${label}: not finished after ${timeoutMs} ms: ${text(output.stderr)}`),
        ),
      timeoutMs,
    );
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      settle();
    };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxOutputBytes)
          stop(new SwarmdError('internal', `${label}: printed more than ${maxOutputBytes} bytes`));
        else output[name].push(chunk);
      });
    }
    child.on('error', (error) => finish(() => reject(new SwarmdError('internal', `${label}: ${error.message}`))));
    child.on('close', (code, signal) => {
      const status = code ?? 128 + (signal ? (constants.signals[signal] ?? 0) : 0);
      finish(() => resolve({ code: status, stdout: text(output.stdout), stderr: text(output.stderr) }));
    });
    if (options.signal?.aborted) onAbort();
    else options.signal?.addEventListener('abort', onAbort, { once: true });
    // A command that ends without reading its input closes the pipe; its exit code tells the story.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a command on this machine and resolves with whatever it returned. */
export function tryRun(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file = '', ...args] = argv;
  const env = { ...process.env, ...options.env, PATH: searchPath() };
  return collect(spawn(file, args, { env, stdio: 'pipe' }), argv.join(' '), options);
}

/** Runs a command on this machine and resolves with its standard output; rejects unless it returns 0. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await tryRun(argv, options);
  if (result.code !== 0)
    throw new SwarmdError('internal', `${argv.join(' ')}: exit ${result.code}: ${result.stderr.trim()}`);
  return result.stdout;
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
