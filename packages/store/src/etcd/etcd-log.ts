import { randomUUID } from 'node:crypto';
import { changedAt, deleteOp, type EtcdClient, putOp, rangeOp, rangeResult, surelyNotApplied } from '@swarmd/etcd';
import {
  type AnyObject,
  type Clock,
  isErrorCode,
  type Leader,
  type LogEntry,
  type LogEvent,
  type ResealableSharedLog,
  SwarmdError,
  type TableName,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { ValueCipher } from '../cipher.js';
import { LogFollower } from './follower.js';
import { layoutOf } from './layout.js';
import type { LogContext } from './log-context.js';
import type { LogPosition } from './log-position.js';
import { replayLog } from './replay.js';
import { type OpenedRecord, resealAll } from './reseal.js';
import { leaderOf } from './revision.js';
import { SharedRead } from './shared-read.js';
import { type Fence, formatFence, openState, parseFence } from './state-record.js';
import { probeTxnLimits, type TxnLimits } from './txn-limits.js';
import { LogWriter } from './writer.js';

/** What {@link openEtcdLog} needs. */
export interface EtcdLogOptions {
  /** A client of one member, which serves everything; it stays the caller's to close. */
  client: EtcdClient;
  /** Before all keys; ends with a slash. */
  prefix?: string;
  /** The cluster's data key: 32 bytes. */
  dataKey: Uint8Array | ValueCipher;
  logger: Logger;
  clock?: Clock;
  /** How long a write whose outcome nobody can tell is tried again, in milliseconds. */
  unknownMs?: number;
}

const UNKNOWN_MS = 10_000;
/** More than a record takes besides its object's JSON: its key, seal and frame. */
const RECORD_BYTES = 1_000;
const READ_ATTEMPT_MS = 600;
const READ_ATTEMPTS = 3;

/**
 * Opens the log that several managers share in etcd: values encrypted, checked as a whole at replay and entry by entry
 * while following. Learns how much etcd takes at once; entries that are larger are written in parts. Rejects with
 * `unavailable` when etcd does not answer.
 */
export async function openEtcdLog(options: EtcdLogOptions): Promise<ResealableSharedLog> {
  const { client, prefix = '/swarmd/', dataKey, logger, clock = systemClock(), unknownMs = UNKNOWN_MS } = options;
  const cipher = dataKey instanceof ValueCipher ? dataKey : new ValueCipher(dataKey);
  const layout = layoutOf(prefix);
  const limits = await probeTxnLimits(client, layout.state);
  logger.debug({ limits }, 'etcd takes transactions of this size');
  return new EtcdLog({ client, layout, cipher, logger, clock }, limits, unknownMs);
}

class EtcdLog implements ResealableSharedLog {
  readonly #context: LogContext;
  readonly #limits: TxnLimits;
  readonly #writer: LogWriter;
  readonly #barrier: SharedRead<{ index: number; term: number | undefined }>;
  readonly #closed = new AbortController();
  #position: LogPosition | undefined;
  /** Everything up to this revision was replayed, told, or written by an acknowledged append. */
  #told = 0;
  #follower: LogFollower | undefined;
  #last: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(context: Omit<LogContext, 'claimant' | 'closed'>, limits: TxnLimits, unknownMs: number) {
    this.#context = { ...context, claimant: randomUUID(), closed: this.#closed.signal };
    this.#limits = limits;
    this.#writer = new LogWriter(this.#context, limits, unknownMs);
    this.#barrier = new SharedRead(() => this.#readIndex());
  }

  get leader(): Leader | undefined {
    return leaderOf(this.#position?.leader);
  }

  get largestObject(): number {
    return this.#limits.bytes - RECORD_BYTES;
  }

  async replay(onObject: (table: TableName, key: string, value: AnyObject) => void): Promise<{ index: number }> {
    this.#checkOpen();
    // What it was told belongs to the position that is given up.
    this.#follower?.end();
    this.#follower = undefined;
    const position = await replayLog(this.#context, onObject);
    this.#position = position;
    this.#told = position.revision;
    const { index, digest } = position.state;
    this.#context.logger.debug(
      { index, objects: digest.count, revision: position.revision },
      'read the store from etcd',
    );
    return { index };
  }

  append(entries: readonly LogEntry[]): Promise<void> {
    return this.#exclusively((position) => this.#writer.append(position, entries));
  }

  reseal(signal: AbortSignal): Promise<void> {
    const write = (records: readonly OpenedRecord[]): Promise<void> =>
      this.#exclusively((position) => this.#writer.reseal(position, records));
    return resealAll(this.#context, this.#limits, write, signal);
  }

  follow(onEvent: (event: LogEvent) => void): () => void {
    this.#checkOpen();
    if (this.#follower !== undefined) throw new SwarmdError('internal', 'a log has one follower at a time');
    const follower = new LogFollower(this.#context, this.#replayed(), this.#told, onEvent);
    this.#follower = follower;
    return () => {
      follower.end();
      if (this.#follower !== follower) return;
      this.#follower = undefined;
      this.#told = Math.max(this.#told, follower.told);
    };
  }

  async claim(
    self: Pick<Leader, 'nodeId' | 'addr'>,
    over: number | undefined,
    signal: AbortSignal,
  ): Promise<Leader | undefined> {
    this.#checkOpen();
    const { client, layout, claimant } = this.#context;
    const { nodeId, addr } = self;
    const claimed = (term: number): Leader => ({ nodeId, addr, term });
    const request = {
      compare: [changedAt(layout.leader, over ?? 0)],
      success: [putOp(layout.leader, formatFence({ nodeId, addr, claimant }))],
      failure: [rangeOp(layout.leader)],
    };
    try {
      const response = await client.txn(request, { signal });
      if (response.succeeded) return claimed(response.header?.revision ?? 0);
      // A claim that was given up may have been granted after all.
      const granted = parseFence(layout, rangeResult(response, 0)[0]);
      return granted?.claimant === claimant && granted.term !== over ? claimed(granted.term) : undefined;
    } catch (error) {
      if (!isErrorCode(error, 'unavailable') || surelyNotApplied(error)) throw error;
    }
    const fence = await this.#readFence(signal);
    if (fence?.claimant === claimant && fence.term !== over) return claimed(fence.term);
    if (fence?.term !== over) return undefined;
    throw new SwarmdError('unavailable', 'nobody can tell whether this manager leads: etcd gave no answer');
  }

  async resign(term: number, signal: AbortSignal): Promise<void> {
    this.#checkOpen();
    const { client, layout } = this.#context;
    await client.txn({ compare: [changedAt(layout.leader, term)], success: [deleteOp(layout.leader)] }, { signal });
  }

  barrier(signal: AbortSignal): Promise<{ index: number; term: number | undefined }> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return this.#barrier.call(signal);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#follower?.end();
      this.#closed.abort();
      await this.#last;
    })();
    return this.#closing;
  }

  async #readIndex(): Promise<{ index: number; term: number | undefined }> {
    const { layout, cipher } = this.#context;
    const response = await this.#readState(READ_ATTEMPTS);
    const state = rangeResult(response, 0)[0];
    const leader = rangeResult(response, 1)[0];
    return {
      index: state === undefined ? 0 : openState(layout, cipher, state.value).index,
      term: leader?.modRevision,
    };
  }

  /** A read that a member has passed on to a Raft leader which has just died is never answered: it is made again. */
  async #readState(attempts: number): ReturnType<EtcdClient['txn']> {
    const { client, layout } = this.#context;
    const request = { success: [rangeOp(layout.state), rangeOp(layout.leader)] };
    try {
      return await client.txn(request, { timeoutMs: READ_ATTEMPT_MS });
    } catch (error) {
      if (attempts <= 1 || !isErrorCode(error, 'unavailable')) throw error;
      return this.#readState(attempts - 1);
    }
  }

  async #readFence(signal: AbortSignal): Promise<Fence | undefined> {
    const { client, layout } = this.#context;
    const { kvs } = await client.range({ key: Buffer.from(layout.leader) }, { signal });
    return parseFence(layout, kvs[0]);
  }

  /** One write after another. */
  #exclusively(write: (position: LogPosition) => Promise<void>): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    const done = this.#last.then(async () => {
      const position = this.#replayed();
      await write(position);
      this.#told = Math.max(this.#told, position.stateRevision);
    });
    this.#last = done.catch(() => {});
    return done;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #replayed(): LogPosition {
    if (this.#position === undefined) throw new SwarmdError('internal', 'a log must be replayed before it is used');
    return this.#position;
  }
}

function closedError(): SwarmdError {
  return new SwarmdError('unavailable', 'the log is closed');
}

function systemClock(): Clock {
  return {
    now: Date.now,
    monotonic: () => performance.now(),
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, delayMs).unref();
      return () => clearTimeout(timer);
    },
  };
}
