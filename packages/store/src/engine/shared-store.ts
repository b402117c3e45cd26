import {
  asSwarmdError,
  type Clock,
  type Cluster,
  type Commit,
  formatRefusal,
  isErrorCode,
  type Leader,
  type LogEvent,
  type ReadView,
  type SharedLog,
  type SharedStore,
  SwarmdError,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { differences } from './differences.js';
import { ReplaySharing } from './replay-sharing.js';
import { StoreState } from './state.js';
import { perTable, Table } from './table.js';
import { type PendingTransaction, Writer } from './writer.js';

/** What {@link openSharedStore} needs. */
export interface SharedStoreOptions {
  /** The log that all managers share. The store owns it from here on and closes it. */
  log: SharedLog;
  clock: Clock;
  logger?: Logger;
  /**
   * For a log that nobody else writes: when it fails, nothing more can be written until the store is opened anew. Called
   * once, with why; without it a manager that fails to write gives way to others, and goes on by what they write.
   */
  onFailure?: (reason: SwarmdError) => void;
}

/** Replaying again, after the log could not tell what came next, is tried this often. */
const RELOAD_RETRY_MS = 1_000;
/** How long a leader may take to make sure that it still is one. */
const CONFIRM_MS = 5_000;

/** Opens the store of one of several managers: reads all that the log holds, and follows it from there on. */
export async function openSharedStore(options: SharedStoreOptions): Promise<SharedStore> {
  return new FollowingStore(options, await readState(options.log, options.logger));
}

/** The state that a log holds. A log that cannot be read is closed again. */
async function readState(log: SharedLog, logger: Logger | undefined): Promise<StoreState> {
  const tables = perTable((name) => new Table(name));
  const sharing = new ReplaySharing();
  try {
    const { index } = await log.replay((table, key, value) => {
      if (table === 'cluster') refuseNewer(value as Cluster);
      tables[table].apply(key, undefined, sharing.share(table, value));
    });
    return new StoreState(tables, index, logger);
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** The cluster's object comes first, in all logs: what a newer swarmd has added is never read before this. */
function refuseNewer({ StateFormat }: Cluster): void {
  const refusal = formatRefusal('the cluster’s state', StateFormat);
  if (refusal !== undefined) throw refusal;
}

/** Transactions of a term that ended before anyone could say what became of them. */
interface Unresolved {
  term: number;
  transactions: readonly PendingTransaction[];
}

class FollowingStore implements SharedStore {
  readonly view: ReadView;
  #log: SharedLog;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  #onFailure: SharedStoreOptions['onFailure'];
  readonly #state: StoreState;
  readonly #listeners = new Set<() => void>();
  #leader: Leader | undefined;
  /** The term that this process has claimed, and may lead once the log has shown it everything before. */
  #claimed: number | undefined;
  #writer: Writer | undefined;
  /** The term in which the writer writes. */
  #writerTerm = 0;
  /** Resolves when what the last writer had under way is settled. */
  #written: Promise<void> = Promise.resolve();
  #unresolved: Unresolved | undefined;
  #unfollow: (() => void) | undefined;
  #closed: SwarmdError | undefined;

  constructor({ log, clock, logger, onFailure }: SharedStoreOptions, state: StoreState) {
    this.#log = log;
    this.#clock = clock;
    this.#logger = logger;
    this.#onFailure = onFailure;
    this.#state = state;
    this.#leader = log.leader;
    this.view = state.view;
    this.#follow();
  }

  get index(): number {
    return this.#state.index;
  }

  get leader(): Leader | undefined {
    return this.#leader;
  }

  get leads(): boolean {
    return this.#writer !== undefined;
  }

  onLeadership(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async update<R>(fn: (tx: WriteTx) => R): Promise<R> {
    return this.#mustLead().update(fn);
  }

  async advance(index: number): Promise<void> {
    if (index <= this.index) return;
    await this.#mustLead().advance(index);
  }

  watch(onCommit: (commit: Commit) => void): () => void {
    return this.#state.watch(onCommit);
  }

  async waitFor(index: number, signal: AbortSignal): Promise<void> {
    if (this.index >= index) return;
    if (this.#closed !== undefined) throw this.#closed;
    await this.#state.waiters.wait(index, signal);
  }

  async claim(self: Pick<Leader, 'nodeId' | 'addr'>, signal: AbortSignal): Promise<boolean> {
    if (this.leads) return true;
    if (this.#closed !== undefined) throw this.#closed;
    const leader = await this.#log.claim(self, this.#log.leader?.term, signal);
    if (leader === undefined) return false;
    this.#claimed = leader.term;
    if (this.#leader?.term === leader.term) this.#lead();
    else await this.#untilShown(leader.term, signal);
    return this.leads;
  }

  async resign(signal: AbortSignal): Promise<void> {
    const [writer, leader] = [this.#writer, this.#leader];
    if (writer === undefined || leader === undefined) return;
    await writer.end(notLeader('this manager hands leadership over'));
    if (this.#writer === writer) this.#stepDown();
    await this.#log.resign(leader.term, signal);
  }

  async fresh(signal: AbortSignal): Promise<void> {
    const { index, term } = await this.#log.barrier(signal);
    this.#stepDownUnless(term);
    await this.waitFor(index, signal);
  }

  async moveTo(next: SharedLog, copy: (index: number) => Promise<{ index: number; leader: Leader }>): Promise<void> {
    const resume = await this.#mustLead().pause();
    try {
      const { index, leader } = await copy(this.index);
      this.#state.take({ index, operations: [] });
      this.#log = next;
      this.#leader = leader;
      this.#writerTerm = leader.term;
      this.#onFailure = undefined;
    } finally {
      resume();
    }
    this.#tell();
  }

  async close(): Promise<void> {
    this.#closed ??= new SwarmdError('unavailable', 'the store is closed');
    await this.#writer?.end(this.#closed);
    await this.#written;
    this.#unfollow?.();
    this.#resolve(undefined, this.#closed);
    this.#state.waiters.fail(this.#closed);
    await this.#log.close();
  }

  #mustLead(): Writer {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#writer !== undefined) return this.#writer;
    throw notLeader('this manager does not lead the cluster at the moment');
  }

  #follow(): void {
    if (this.#closed === undefined) this.#unfollow = this.#log.follow((event) => this.#onEvent(event));
  }

  #onEvent(event: LogEvent): void {
    if (event.kind === 'entry') {
      this.#state.take(event.entry);
      this.#resolve(event, notLeader('unreachable'));
    } else if (event.kind === 'leader') {
      this.#leader = event.leader;
      // Whoever wrote before can write no more, and all that it wrote has been seen.
      this.#resolve(undefined, notLeader('this manager lost leadership before the write took effect'));
      if (event.leader !== undefined && event.leader.term === this.#claimed) this.#lead();
      else this.#tell();
    } else {
      this.#logger?.warn({ reason: event.reason }, 'the log cannot tell what came next: reading all of it again');
      this.#unfollow = undefined;
      void this.#reload();
    }
  }

  /** The log has shown everything before the claimed term: from here on this process writes, and nobody else. */
  #lead(): void {
    this.#unfollow?.();
    this.#unfollow = undefined;
    this.#claimed = undefined;
    const writer: Writer = new Writer({
      state: this.#state,
      clock: this.#clock,
      append: (entries) => this.#log.append(entries),
      confirm: () => this.#confirm(writer),
      largestObject: () => this.#log.largestObject,
      onFailure: (error, inFlight, queued) => this.#onWriteFailure(writer, error, inFlight, queued),
    });
    this.#writer = writer;
    this.#writerTerm = this.#leader?.term ?? 0;
    this.#tell();
  }

  /** Rejects with `not-leader` unless `writer` is the only one that has written anything up to now. */
  async #confirm(writer: Writer): Promise<void> {
    try {
      const { term } = await this.#log.barrier(AbortSignal.timeout(CONFIRM_MS));
      this.#stepDownUnless(term);
    } catch (cause) {
      const message = 'nothing was written, and this manager cannot tell whether it still leads';
      throw new SwarmdError('not-leader', message, { cause });
    }
    if (this.#writer !== writer) throw notLeader('this manager does not lead the cluster at the moment');
  }

  #stepDownUnless(term: number | undefined): void {
    if (!this.leads || term === this.#leader?.term) return;
    this.#logger?.warn({ term, own: this.#leader?.term }, 'another manager leads now');
    this.#stepDown();
  }

  #onWriteFailure(
    writer: Writer,
    error: unknown,
    inFlight: readonly PendingTransaction[],
    queued: readonly PendingTransaction[],
  ): void {
    const cause = asSwarmdError(error);
    if (this.#onFailure !== undefined) {
      this.#fail(cause, [...inFlight, ...queued]);
      return;
    }
    this.#logger?.warn({ err: cause }, 'this manager can no longer write');
    const lost = new SwarmdError('not-leader', `nothing was written: ${cause.message}`, { cause });
    for (const tx of queued) tx.failed(lost);
    if (isErrorCode(error, 'not-leader')) for (const tx of inFlight) tx.failed(lost);
    else this.#unresolved = { term: this.#writerTerm, transactions: inFlight };
    if (this.#writer === writer) this.#stepDown();
  }

  #fail(cause: SwarmdError, lost: readonly PendingTransaction[]): void {
    this.#logger?.error({ err: cause }, 'the log of the store failed: nothing more can be written');
    const refusal = new SwarmdError('unavailable', `the store cannot write: ${cause.message}`, { cause });
    this.#closed = refusal;
    for (const tx of lost) tx.failed(refusal);
    this.#state.waiters.fail(refusal);
    this.#onFailure?.(refusal);
  }

  /** Follows again once nothing is under way: what is settled then must not go over what others have written since. */
  #stepDown(): void {
    const ended = this.#writer?.end(notLeader('this manager does not lead the cluster at the moment'));
    this.#writer = undefined;
    this.#leader = undefined;
    this.#written = Promise.resolve(ended).then(() => this.#follow());
    this.#tell();
  }

  /** Settles those unresolved that `seen` is the proof of; without it, all of them fail with `refusal`. */
  #resolve(seen: (LogEvent & { kind: 'entry' }) | undefined, refusal: SwarmdError): void {
    const unresolved = this.#unresolved;
    if (unresolved === undefined) return;
    if (seen === undefined) {
      this.#unresolved = undefined;
      for (const tx of unresolved.transactions) tx.failed(refusal);
    } else if (seen.term === unresolved.term) {
      const rest = unresolved.transactions.filter((tx) => tx.index > seen.entry.index);
      for (const tx of unresolved.transactions) if (tx.index <= seen.entry.index) tx.done();
      this.#unresolved = { ...unresolved, transactions: rest };
    }
  }

  async #reload(): Promise<void> {
    while (this.#closed === undefined) {
      try {
        const { index, operations } = await differences(this.view, this.#log);
        this.#state.take({ index, operations });
        this.#leader = this.#log.leader;
        this.#resolve(undefined, new SwarmdError('unavailable', 'nobody can tell what became of the write'));
        this.#follow();
        this.#tell();
        return;
      } catch (error) {
        this.#logger?.error({ err: error }, 'the log could not be read again; will try again');
        await new Promise<void>((resolve) => this.#clock.after(RELOAD_RETRY_MS, resolve));
      }
    }
  }

  #untilShown(term: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.leads || (this.#leader?.term ?? 0) > term || this.#closed !== undefined) end(resolve);
      };
      const onAbort = (): void => end(() => reject(signal.reason as Error));
      const unlisten = this.onLeadership(check);
      const end = (settle: () => void): void => {
        unlisten();
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function notLeader(message: string): SwarmdError {
  return new SwarmdError('not-leader', message);
}
