import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';

/** No tool that looks at something takes longer. */
const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Debian keeps these tools where a service's PATH may not look. */
const EXTRA_PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin';

/** How a command ended; `code` is -1 when it could not be started or was killed. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end, at most ten seconds; in the network namespace at `namespace`, if one is named. Never rejects. */
export type Run = (
  argv: readonly string[],
  options?: { namespace?: string; signal?: AbortSignal | undefined; input?: string },
) => Promise<Ended>;

/** Runs commands on this host, in words that do not depend on its language. */
export const runCommand: Run = (argv, { namespace, signal, input } = {}) =>
  new Promise((resolve) => {
    if (namespace !== undefined && !existsSync(namespace)) {
      resolve({ code: -1, stdout: '', stderr: `there is no network namespace ${namespace}` });
      return;
    }
    const [file = '', ...args] = namespace === undefined ? argv : ['nsenter', `--net=${namespace}`, '--', ...argv];
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${EXTRA_PATH}`, LC_ALL: 'C' };
    const options = { env, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' } as const;
    const child = execFile(
      file,
      args,
      { ...options, ...(signal === undefined ? {} : { signal }) },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr: stderr || (error?.message ?? '') });
      },
    );
    // It may end without having read it all.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });

/** What a command printed as JSON; `undefined` when it failed or printed none. */
export async function runJson<T>(
  run: Run,
  argv: readonly string[],
  options: Parameters<Run>[1] = {},
): Promise<T | undefined> {
  const { code, stdout } = await run(argv, options);
  if (code !== 0) return undefined;
  try {
    // `ip -j` prints nothing for an empty list.
    return JSON.parse(stdout.trim() || '[]') as T;
  } catch {
    return undefined;
  }
}
