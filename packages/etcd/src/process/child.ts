import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { etcdEnvironment } from '../binary/find-etcd.js';
import { type EtcdLine, parseEtcdLine } from './log-lines.js';

/** A running etcd. */
export interface EtcdProcess {
  readonly pid: number | undefined;
  /** Resolves when it has ended and everything it wrote was read. Never rejects. */
  readonly ended: Promise<EtcdEnd>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** How it ended, with its last lines. */
export interface EtcdEnd {
  code: number | undefined;
  signal: NodeJS.Signals | undefined;
  tail: EtcdLine[];
}

const TAIL_LINES = 40;
/** Of a panic the first lines tell why; hundreds of stack frames follow. */
const PANIC_LINES = 20;
/** Between our fork and `setpriv` we may have died already: then nobody would end etcd. $0 is our own process ID. */
const GUARD = '[ "$PPID" = "$0" ] && exec "$@"';

/**
 * Starts `path` with `flags` such that the kernel ends it when this process ends, however it ends. The kernel means the
 * thread that started it: call this from the main thread.
 */
export function spawnEtcd(path: string, flags: readonly string[], onLine: (line: EtcdLine) => void): EtcdProcess {
  const guarded = ['--pdeathsig', 'KILL', '--', 'sh', '-c', GUARD, String(process.pid), path, ...flags];
  const child = spawn('setpriv', guarded, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: etcdEnvironment(),
    // Signals for the terminal's foreground are for us: we end etcd in order.
    detached: true,
  });
  const tail: EtcdLine[] = [];
  let panicLines = 0;
  const keep = (line: EtcdLine): void => {
    if (line.level === 'raw' && ++panicLines > PANIC_LINES) return;
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    onLine(line);
  };
  const lines = createInterface({ input: child.stderr! });
  lines.on('line', (text) => keep(parseEtcdLine(text)));
  return {
    pid: child.pid,
    ended: endOf(child, keep).then((how) => ({ ...how, tail })),
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

async function endOf(child: ChildProcess, keep: (line: EtcdLine) => void): Promise<Pick<EtcdEnd, 'code' | 'signal'>> {
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { code: code ?? undefined, signal: signal ?? undefined };
  } catch (thrown) {
    keep({ level: 'fatal', message: 'etcd cannot be started', error: (thrown as Error).message, fields: {} });
    return { code: undefined, signal: undefined };
  }
}
