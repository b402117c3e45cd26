import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { readWal, type WalEnd, type WalRecord } from './wal.js';

/** How far the log of an etcd member goes, as its files say. IDs are etcd's, in hexadecimal. */
export interface EtcdDataState {
  memberId: string;
  clusterId: string;
  /** Of the last entry in the log, whether it is known to be committed or not: what a Raft election compares. */
  lastTerm: bigint;
  lastIndex: bigint;
  /**
   * Up to where the member is sure to have known its log to be committed; etcd writes this down late. Later entries can
   * have been acknowledged.
   */
  commitIndex: bigint;
  /** The highest term that the member has seen. */
  term: bigint;
}

/** An {@link EtcdDataState} with where its log ends. */
export interface EtcdLogEnd extends EtcdDataState {
  vote: bigint;
  /** The log's last file, where its records end, and the running checksum there. */
  file: string;
  end: WalEnd;
}

/**
 * How far the log in etcd's data directory `dir` goes. Reads only, and needs no etcd: whose log is furthest is decided
 * with it before anything is started. The member must not be running. `not-found` when there is no log; `damaged` when
 * it cannot be read.
 */
export async function inspectEtcdData(dir: string): Promise<EtcdDataState> {
  const { vote: _vote, file: _file, end: _end, ...state } = await readLogEnd(dir);
  return state;
}

/** Negative when `a`'s log is behind `b`'s: term, then index, as Raft compares. */
export function compareEtcdData(
  a: Pick<EtcdDataState, 'lastTerm' | 'lastIndex'>,
  b: Pick<EtcdDataState, 'lastTerm' | 'lastIndex'>,
): number {
  const [x, y] = a.lastTerm === b.lastTerm ? [a.lastIndex, b.lastIndex] : [a.lastTerm, b.lastTerm];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** What {@link inspectEtcdData} reads, with the place where more could be written. Its errors. */
export async function readLogEnd(dir: string): Promise<EtcdLogEnd> {
  const walDir = join(dir, 'member', 'wal');
  const files = await walFiles(walDir);
  // Later files only go on from earlier ones, and each begins with the metadata and the state so far.
  for (let first = files.length - 1; first >= 0; first--) {
    const log = await readFiles(walDir, files.slice(first));
    if (log.last !== undefined || first === 0) return endOf(log, walDir);
  }
  throw new SwarmdError('not-found', `there is no log of etcd in ${walDir}`);
}

interface Reading {
  memberId: bigint;
  clusterId: bigint;
  state: { term: bigint; vote: bigint; commit: bigint };
  last: { term: bigint; index: bigint } | undefined;
  file: string;
  end: WalEnd;
}

async function walFiles(walDir: string): Promise<string[]> {
  const names = await readdir(walDir).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return [];
    throw thrown;
  });
  return names.filter((name) => /^[0-9a-f]{16}-[0-9a-f]{16}\.wal$/.test(name)).sort();
}

async function readFiles(walDir: string, names: readonly string[]): Promise<Reading> {
  const reading: Reading = {
    ...{ memberId: 0n, clusterId: 0n, state: { term: 0n, vote: 0n, commit: 0n }, last: undefined },
    ...{ file: '', end: { offset: 0, checksum: 0, isTorn: false } },
  };
  for (const name of names) {
    if (reading.end.isTorn) throw new SwarmdError('damaged', `etcd's log is damaged: ${reading.file} is not whole`);
    reading.file = join(walDir, name);
    reading.end = readWal(await readFile(reading.file), reading.file, (record) => take(reading, record));
  }
  return reading;
}

function take(reading: Reading, record: WalRecord): void {
  switch (record.kind) {
    case 'metadata':
      reading.memberId = record.memberId;
      reading.clusterId = record.clusterId;
      break;
    case 'state':
      reading.state = record;
      break;
    case 'entry':
      // One that stands later replaces those at its index and after it: another leader had them otherwise.
      reading.last = record;
      break;
    case 'snapshot':
      if (record.index > (reading.last?.index ?? 0n)) reading.last = record;
      break;
    case 'checksum':
      break;
  }
}

function endOf({ memberId, clusterId, state, last, file, end }: Reading, walDir: string): EtcdLogEnd {
  if (memberId === 0n) throw new SwarmdError('damaged', `the log of etcd in ${walDir} names no member`);
  return {
    ...{ memberId: memberId.toString(16), clusterId: clusterId.toString(16) },
    ...{ lastTerm: last?.term ?? 0n, lastIndex: last?.index ?? 0n },
    ...{ commitIndex: state.commit, term: state.term, vote: state.vote, file, end },
  };
}
