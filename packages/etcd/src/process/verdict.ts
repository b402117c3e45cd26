import type { EtcdLine } from './log-lines.js';

/** Why a member cannot come back as it is. */
export interface GoneReason {
  /**
   * `removed`: the cluster has removed it; `damaged`: its data cannot be read. Either way its data must be replaced.
   * `outdated`: it has no data yet, and the cluster's members are not those that it was to start with.
   */
  kind: 'removed' | 'damaged' | 'outdated';
  /** For people: what etcd said. */
  detail: string;
}

/** One end of etcd's process, not asked for by us. */
export interface EtcdExit {
  code: number | undefined;
  signal: NodeJS.Signals | undefined;
  /** What it wrote last. */
  tail: readonly EtcdLine[];
  /** Whether it had served before it ended. */
  wasReady: boolean;
  /** How many ends before this one were panics before it served. */
  panicsBefore: number;
}

/** Go's exit code for panics and fatal runtime errors. */
const PANIC = 2;
/** So many panics at starting in a row are no accident. */
const PANICS_MEAN_DAMAGE = 3;

// etcd has no code for either: its words are all there is. Those of 3.4 to 3.6, each seen or from its source.
const REMOVED = 'the member has been permanently removed from the cluster';
const OUTDATED = /^error validating peerURLs /;
const DAMAGED: readonly RegExp[] = [
  /\bcrc mismatch\b/,
  /failed to recover v3 backend/,
  /failed to find database snapshot file/,
  /\bfreepages: failed\b|\bfreelist\b.*\b(invalid|corrupt)|page \d+ already freed|invalid freelist page/,
  /^fatal error: fault$/,
  /\binvalid database\b|\bchecksum error\b|version mismatch.*database/,
  /\btocommit\(\d+\) is out of range\b/,
  /found data inconsistency|data inconsistency|corrupt local/,
  /wal: (file not found|max entry size limit exceeded|slice bounds out of range|conflicting metadata)/,
  /failed to (open|read|load|repair) (the )?WAL/,
];
/** These pass by themselves or with an administrator's help; the data is whole. */
const NOT_DAMAGE = /no space left on device|cannot allocate memory|too many open files|address already in use/;

/** Whether the member is gone for good, and why; `undefined`: starting it again may help. */
export function verdictOf(exit: EtcdExit): GoneReason | undefined {
  const texts = exit.tail.map(({ message, error }) => (error === undefined ? message : `${message}: ${error}`));
  if (exit.tail.some(({ message, error }) => message === 'server error' && error === REMOVED)) {
    return { kind: 'removed', detail: REMOVED };
  }
  const outdated = exit.tail.find(({ error }) => error !== undefined && OUTDATED.test(error));
  if (outdated?.error !== undefined) return { kind: 'outdated', detail: outdated.error };
  if (texts.some((text) => NOT_DAMAGE.test(text))) return undefined;
  const grave = exit.tail
    .map((line, index) => ({ line, text: texts[index]! }))
    .filter(({ line }) => line.level === 'fatal' || line.level === 'panic' || line.level === 'raw');
  const damage = grave.find(({ text }) => DAMAGED.some((pattern) => pattern.test(text)));
  if (damage !== undefined && exit.code !== 0) return { kind: 'damaged', detail: damage.text };
  if (isStartPanic(exit) && exit.panicsBefore + 1 >= PANICS_MEAN_DAMAGE) {
    return { kind: 'damaged', detail: grave[0]?.text ?? 'etcd panics at every start' };
  }
  return undefined;
}

/** Whether etcd panicked before it served. */
export function isStartPanic({ code, wasReady }: Pick<EtcdExit, 'code' | 'wasReady'>): boolean {
  return code === PANIC && !wasReady;
}

/** One sentence about an end, for the log. */
export function describeExit({ code, signal, tail }: Pick<EtcdExit, 'code' | 'signal' | 'tail'>): string {
  const how = signal === undefined ? `etcd ended with code ${code ?? 'unknown'}` : `etcd was ended by ${signal}`;
  const last = tail.findLast(({ level }) => level === 'fatal' || level === 'panic' || level === 'raw');
  if (last === undefined) return how;
  return `${how}: ${last.error === undefined ? last.message : `${last.message}: ${last.error}`}`;
}
