import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Parser, type TapError } from 'tap-parser';

/** What one test file did. Only top-level test points count: one per named test. */
export interface FileResult {
  file: string;
  passed: number;
  failed: number;
  skipped: { name: string; reason: string }[];
  /** Texts for people: failing tests with their diagnostics, or why the file itself failed. */
  failures: string[];
  durationMs: number;
}

/** How a file is run. */
export interface RunOptions {
  /** Only takes processor time that nobody else wants. */
  lowPriority?: boolean;
}

interface Point {
  ok: boolean;
  name: string;
  skip: string | boolean;
  todo: string | boolean;
  diag: TapError | null | undefined;
}

/** Grace between SIGTERM and SIGKILL for a file that ran out of time, so that it can take its test hosts down. */
const KILL_GRACE_MS = 20_000;

/** Makes property tests repeatable; see that file. */
const seedModule = new URL('./seed.js', import.meta.url).href;

/** Runs one compiled test file in a node process of its own and reads its TAP. Killed after `timeoutMs`. */
export function runFile(file: string, timeoutMs: number, options: RunOptions = {}): Promise<FileResult> {
  const started = performance.now();
  const result: FileResult = { file, passed: 0, failed: 0, skipped: [], failures: [], durationMs: 0 };
  return new Promise((resolve) => {
    const child = start([process.execPath, '--enable-source-maps', '--import', seedModule, file], options);
    const parser = new Parser();
    const errorTail: string[] = [];
    let timedOut = false;
    parser.on('assert', (point: Point) => countPoint(result, point, ''));
    parser.on('child', (sub: Parser) => watchChild(result, sub, ''));
    child.stdout.pipe(parser);
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      errorTail.push(text);
      if (errorTail.length > 200) errorTail.shift();
    });
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), KILL_GRACE_MS).unref();
    }, timeoutMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (timedOut) {
        result.failed++;
        result.failures.push(`killed after ${timeoutMs / 1000} s\n${errorTail.join('')}`);
      } else if (code !== 0 && result.failed === 0) {
        result.failed++;
        result.failures.push(`ended with ${signal ?? `exit code ${code}`}\n${errorTail.join('')}`);
      } else if (result.passed + result.failed + result.skipped.length === 0) {
        result.failed++;
        result.failures.push('ran no test');
      } else if (result.failed > 0 && errorTail.length > 0) {
        result.failures.push(`stderr:\n${errorTail.join('').slice(-4_000)}`);
      }
      result.durationMs = performance.now() - started;
      resolve(result);
    });
  });
}

function start(argv: readonly string[], { lowPriority = false }: RunOptions) {
  const [command, ...args] = lowPriority ? ['nice', '-n', '19', ...argv] : argv;
  const child = spawn(command!, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Linux shares the processor between sessions before it looks at niceness, so it needs a session of its own.
    detached: lowPriority,
    // The time that a file may take is counted here: tap would end every one after 30 s of its own.
    env: { ...process.env, TAP_CHILD_ID: '1', TAP_TIMEOUT: '0' },
  });
  if (lowPriority) {
    yieldAsSession(child);
    endWithUs(child);
  }
  return child;
}

function yieldAsSession({ pid }: ChildProcess): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, '19');
  } catch {
    // This kernel does not share by session: niceness is enough.
  }
}

/** Ctrl-C does not reach another session. */
function endWithUs(child: ChildProcess): void {
  const end = (): void => void child.kill('SIGKILL');
  const interrupted = (): void => process.exit(130);
  process.on('exit', end).on('SIGINT', interrupted).on('SIGTERM', interrupted);
  child.on('close', () => process.off('exit', end).off('SIGINT', interrupted).off('SIGTERM', interrupted));
}

/** Counts a top-level point; a failure's details come from the deepest points (see `watchChild`). */
function countPoint(result: FileResult, point: Point, path: string): void {
  const name = path + point.name;
  if (point.skip) result.skipped.push({ name, reason: typeof point.skip === 'string' ? point.skip : '' });
  else if (point.ok || point.todo) result.passed++;
  else {
    result.failed++;
    if (point.diag) result.failures.push(`${name}\n${JSON.stringify(point.diag, null, 2)}`);
    else result.failures.push(name);
  }
}

/** Follows nested tests for failing assertions' diagnostics. */
function watchChild(result: FileResult, parser: Parser, path: string): void {
  const here = `${path}${parser.name} › `;
  parser.on('assert', (point: Point) => {
    if (point.ok || point.skip || point.todo) return;
    result.failures.push(`${here}${point.name}\n${point.diag ? JSON.stringify(point.diag, null, 2) : ''}`);
  });
  parser.on('child', (sub: Parser) => watchChild(result, sub, here));
}
