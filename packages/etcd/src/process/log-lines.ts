import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';

/** One line that etcd wrote. */
export interface EtcdLine {
  /** zap's word: debug, info, warn, error, fatal, panic; `raw` for what is not zap's, such as Go's own panics. */
  level: string;
  message: string;
  /** The error that zap gives with it, if any. */
  error: string | undefined;
  /** Whatever else it says: member IDs, durations. */
  fields: Record<string, unknown>;
}

/** What etcd warns of in any healthy cluster. */
const USUAL = [
  'simple token is not cryptographically signed',
  'established TCP streaming connection with remote peer',
  'closed TCP streaming connection with remote peer',
  'stopped TCP streaming connection with remote peer',
  'exceeded recommended request limit',
];
/** What etcd's own client within it says while it starts. */
const STARTING = /addrConn\.createTransport failed to connect/;
/** At most this many lines within each period are passed on; a broken network makes etcd write hundreds a second. */
const LINES_PER_PERIOD = 20;
const PERIOD_MS = 10_000;

/** Reads one line of etcd's standard error. */
export function parseEtcdLine(line: string): EtcdLine {
  try {
    const { level, msg, error, ts: _ts, caller: _caller, stacktrace: _stack, ...fields } = JSON.parse(line);
    if (typeof level === 'string' && typeof msg === 'string') {
      return { level, message: msg, error: error === undefined ? undefined : String(error), fields };
    }
  } catch {
    // Not zap's.
  }
  return { level: 'raw', message: line, error: undefined, fields: {} };
}

/** Passes etcd's lines on to `logger`, with a bound on how many; how many were left out is said with the next. */
export function createLineForwarder(logger: Logger, clock: Pick<Clock, 'monotonic'>): (line: EtcdLine) => void {
  let period = { startMs: Number.NEGATIVE_INFINITY, lines: 0 };
  let leftOut = 0;
  return (line) => {
    const nowMs = clock.monotonic();
    if (nowMs - period.startMs >= PERIOD_MS) period = { startMs: nowMs, lines: 0 };
    const level = levelOf(line);
    if (level !== 'debug') {
      period.lines += 1;
      if (period.lines > LINES_PER_PERIOD) {
        leftOut += 1;
        return;
      }
    }
    const { message, error, fields } = line;
    const rest = leftOut > 0 ? { linesLeftOut: leftOut } : {};
    if (level !== 'debug') leftOut = 0;
    logger[level]({ ...fields, ...(error === undefined ? {} : { error }), ...rest }, message);
  };
}

function levelOf({ level, message }: EtcdLine): 'debug' | 'info' | 'warn' | 'error' {
  if (STARTING.test(message)) return 'debug';
  if (level === 'warn') return USUAL.includes(message) ? 'debug' : 'warn';
  if (level === 'info' || level === 'debug') return level;
  return 'error';
}
