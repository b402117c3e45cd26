import { deleteOp, type KeyValue, prefixEnd, putOp, type RequestOp } from '@swarmd/etcd';
import { isErrorCode, type LogEntry, SwarmdError } from '@swarmd/model';
import { Batch } from '../records/batch.js';
import { recordKey } from '../records/record.js';
import { type FencedOutcome, fencedTxn } from './fenced-txn.js';
import { partKey } from './layout.js';
import type { LogContext } from './log-context.js';
import type { LogPosition, SealedRecords } from './log-position.js';
import { encodePart, splitRecords } from './parts.js';
import type { OpenedRecord } from './reseal.js';
import { openState, type SharedState, sealPending, sealState } from './state-record.js';
import type { TxnLimits } from './txn-limits.js';

/** The leader's side of a log in etcd: writes entries at the log's position and moves it on. One append at a time. */
export class LogWriter {
  readonly #context: LogContext;
  readonly #limits: TxnLimits;
  readonly #unknownMs: number;
  /** Why nothing more may be written in this term. */
  #failed: { term: number; error: unknown } | undefined;
  /** The term whose leader has looked for what others left behind. */
  #tidied = 0;

  constructor(context: LogContext, limits: TxnLimits, unknownMs: number) {
    this.#context = context;
    this.#limits = limits;
    this.#unknownMs = unknownMs;
  }

  /** See `SharedLog.append`. */
  async append(position: LogPosition, entries: readonly LogEntry[]): Promise<void> {
    await this.#tidily(position, (term) => this.#write(position, term, entries));
  }

  /**
   * Seals records anew at the versions that they have, unless they have been written since, and the state with them; leaves
   * nothing of entries written in parts behind. Few enough for one transaction.
   */
  async reseal(position: LogPosition, opened: readonly OpenedRecord[]): Promise<void> {
    const { layout, cipher } = this.#context;
    await this.#tidily(position, async (term) => {
      const records = new Map<string, Buffer>();
      for (const { table, id, version, plaintext } of opened) {
        if (position.versions[table].get(id) !== version) continue;
        const key = recordKey(table, id);
        records.set(key, cipher.seal(key, version, plaintext));
      }
      const state: SharedState = { ...position.state, term, resealed: true };
      const operations = [...objectOps(layout.objects, records), putOp(layout.state, sealState(cipher, state))];
      const guard = { key: layout.state, revision: position.stateRevision };
      const outcome = await fencedTxn(this.#context, { term, guard, operations }, this.#unknownMs);
      const led = outcome.kind === 'applied' || outcome.fence?.modRevision === term;
      // Nobody else writes in this term: it was an earlier attempt that changed the state.
      if (outcome.kind === 'refused' && !(led && outcome.unsure)) throw movedBy(outcome, term);
      const revision = outcome.kind === 'applied' ? outcome.revision : (outcome.guard?.modRevision ?? 0);
      Object.assign(position, { state, stateRevision: revision, revision: Math.max(position.revision, revision) });
    });
  }

  /** Runs `write` where this process leads, once what others left in parts is in its place or gone. */
  async #tidily(position: LogPosition, write: (term: number) => Promise<void>): Promise<void> {
    const { leader } = position;
    if (leader?.claimant !== this.#context.claimant) throw notLeader();
    const { term } = leader;
    if (this.#failed?.term === term) throw this.#failed.error;
    try {
      if (position.pending !== undefined) await this.#copyPending(position, term);
      else if (this.#tidied !== term && position.parts.size > 0) await this.#removeParts(position, term);
      this.#tidied = term;
      await write(term);
    } catch (error) {
      this.#failed = { term, error };
      throw error;
    }
  }

  async #write(position: LogPosition, term: number, entries: readonly LogEntry[]): Promise<void> {
    const { cipher } = this.#context;
    let batch = new Batch(cipher, position.versions, position.state);
    let added = 0;
    let committed = false;
    const commit = async (): Promise<void> => {
      try {
        await this.#commit(position, term, batch);
      } catch (error) {
        if (!committed || !isErrorCode(error, 'not-leader')) throw error;
        throw new SwarmdError('unavailable', 'another manager leads since the middle of a write', { cause: error });
      }
      committed = true;
    };
    for (const { index, operations } of entries) {
      // Half a transaction is left free: entries whose size nobody knows yet are rarely larger.
      const full = batch.records.size + operations.length >= this.#limits.operations;
      if (added > 0 && (full || batch.bytes > this.#limits.bytes / 2)) {
        await commit();
        batch = new Batch(cipher, position.versions, position.state);
        added = 0;
      }
      await batch.add(index, operations);
      added++;
    }
    if (added > 0) await commit();
  }

  async #commit(position: LogPosition, term: number, batch: Batch): Promise<void> {
    const { layout, cipher, logger } = this.#context;
    const fits = batch.records.size < this.#limits.operations && batch.bytes <= this.#limits.bytes;
    if (fits) {
      await this.#commitState(position, term, batch, objectOps(layout.objects, batch.records));
      return;
    }
    const { index } = batch.state;
    const groups = splitRecords(batch.records, this.#limits);
    for (const [n, group] of groups.entries()) {
      const operations = [putOp(partKey(layout, index, n), encodePart(group))];
      const guard = { key: layout.state, revision: position.stateRevision };
      const outcome = await fencedTxn(this.#context, { term, guard, operations }, this.#unknownMs);
      // Parts that nothing refers to count for nothing.
      if (outcome.kind === 'refused') throw movedBy(outcome, term);
    }
    const announcement = putOp(layout.pending, sealPending(cipher, index, groups.length));
    if (!(await this.#commitState(position, term, batch, [announcement]))) return;
    position.pending = { revision: position.stateRevision, records: batch.records };
    try {
      await this.#copyPending(position, term);
    } catch (error) {
      // The entry is durable. Whoever writes next copies it first.
      logger.warn({ err: error, index }, 'a large entry is written, and not yet in its place');
    }
  }

  /**
   * Makes one transaction of the log out of `operations` and the state that `batch` leads to. Whether that has moved the
   * position on: not when a follower knew of it before.
   */
  async #commitState(position: LogPosition, term: number, batch: Batch, operations: RequestOp[]): Promise<boolean> {
    const { layout, cipher } = this.#context;
    const state = { ...batch.state, term };
    const all = [...operations, putOp(layout.state, sealState(cipher, state))];
    const guard = { key: layout.state, revision: position.stateRevision };
    const outcome = await fencedTxn(this.#context, { term, guard, operations: all }, this.#unknownMs);
    const revision =
      outcome.kind === 'applied' ? outcome.revision : await this.#appliedBefore(outcome, term, state.index, guard);
    if (revision <= position.revision) return false;
    batch.remember();
    Object.assign(position, { state, stateRevision: revision, revision });
    return true;
  }

  /** The revision with which an earlier attempt was applied after all. Rejects when there is none or nobody can tell. */
  async #appliedBefore(
    outcome: Extract<FencedOutcome, { kind: 'refused' }>,
    term: number,
    index: number,
    guard: { revision: number },
  ): Promise<number> {
    const moved = outcome.fence?.modRevision !== term;
    if (!outcome.unsure) throw movedBy(outcome, term);
    let last = outcome.guard;
    if (moved && this.#isOf(last, term) === undefined && outcome.fence !== undefined)
      last = await this.#stateAt(outcome.fence.modRevision - 1);
    if (last !== undefined && this.#isOf(last, term) === index) return last.modRevision;
    if (moved && (last?.modRevision ?? 0) === guard.revision) throw notLeader();
    throw new SwarmdError('unavailable', 'nobody can tell whether a write to etcd was done before another manager led');
  }

  /** The index of a state, if it is of the given term. */
  #isOf(state: KeyValue | undefined, term: number): number | undefined {
    if (state === undefined) return undefined;
    const opened = openState(this.#context.layout, this.#context.cipher, state.value);
    return opened.term === term ? opened.index : undefined;
  }

  async #stateAt(revision: number): Promise<KeyValue | undefined> {
    const { client, layout } = this.#context;
    try {
      return (await client.range({ key: Buffer.from(layout.state), revision })).kvs[0];
    } catch (error) {
      if (!isErrorCode(error, 'out-of-sequence')) throw error;
      throw new SwarmdError('unavailable', 'nobody can tell whether a write to etcd was done: its history is gone');
    }
  }

  /** Copies the pending entry to the objects; the last transaction removes what announced it. */
  async #copyPending(position: LogPosition, term: number): Promise<void> {
    const { layout } = this.#context;
    const { pending } = position;
    if (pending === undefined) return;
    const guard = { key: layout.pending, revision: pending.revision };
    for (const group of splitRecords(pending.records, this.#limits)) {
      const operations = objectOps(layout.objects, group);
      const outcome = await fencedTxn(this.#context, { term, guard, operations }, this.#unknownMs);
      if (outcome.kind === 'refused') throw movedBy(outcome, term);
    }
    const operations = [deleteOp(layout.pending), deleteOp(layout.parts, prefixEnd(layout.parts))];
    const outcome = await fencedTxn(this.#context, { term, guard, operations }, this.#unknownMs);
    const gone = outcome.kind === 'applied' || (outcome.unsure && outcome.guard === undefined);
    if (!gone) throw movedBy(outcome, term);
    position.pending = undefined;
    position.parts.clear();
  }

  /** Removes parts of an entry that never became one. */
  async #removeParts(position: LogPosition, term: number): Promise<void> {
    const { layout } = this.#context;
    const guard = { key: layout.state, revision: position.stateRevision };
    const operations = [deleteOp(layout.parts, prefixEnd(layout.parts))];
    const outcome = await fencedTxn(this.#context, { term, guard, operations }, this.#unknownMs);
    if (outcome.kind === 'refused') throw movedBy(outcome, term);
    position.parts.clear();
  }
}

function objectOps(prefix: string, records: SealedRecords): RequestOp[] {
  return [...records].map(([key, sealed]) =>
    sealed === undefined ? deleteOp(prefix + key) : putOp(prefix + key, sealed),
  );
}

function movedBy({ fence }: { fence: KeyValue | undefined }, term: number): SwarmdError {
  if (fence?.modRevision !== term) return notLeader();
  return new SwarmdError('internal', 'the log in etcd is not as its leader left it: nothing was written');
}

function notLeader(): SwarmdError {
  return new SwarmdError('not-leader', 'this manager does not lead: nothing was written');
}
