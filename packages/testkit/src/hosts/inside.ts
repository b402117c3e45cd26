import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { searchPath } from './command.js';
import { childrenOf } from './processes.js';

/** How a process inside a host is started. */
export interface SpawnOptions {
  /** Added to this process's environment. */
  env?: NodeJS.ProcessEnv;
  /** Working directory, `/` by default. */
  cwd?: string;
  /** All pipes by default. */
  stdio?: StdioOptions;
  /** Aborting it kills the process with SIGKILL. */
  signal?: AbortSignal;
}

/**
 * Starts a process in all namespaces of a host. The child's exit code and signal are those of the process itself, and
 * `kill()` reaches that process, not the helper before it.
 */
export function spawnInside(initPid: number, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const entering = ['-t', String(initPid), '-m', '-u', '-i', '-n', '-p', '--'];
  const starting = ['setpriv', '--pdeathsig', 'KILL', '--', 'env', `--chdir=${options.cwd ?? '/'}`];
  const child = spawn('nsenter', [...entering, ...starting, ...argv], {
    env: { ...process.env, PATH: searchPath(), ...options.env },
    stdio: options.stdio ?? 'pipe',
  });
  const killHelper = child.kill.bind(child);
  child.kill = (signal?: NodeJS.Signals | number) => {
    const inner = child.pid === undefined ? undefined : childrenOf(child.pid)[0];
    if (inner === undefined) return killHelper(signal);
    try {
      return process.kill(inner, signal ?? 'SIGTERM');
    } catch {
      return false;
    }
  };
  const onAbort = () => child.kill('SIGKILL');
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  child.once('exit', () => options.signal?.removeEventListener('abort', onAbort));
  return child;
}
