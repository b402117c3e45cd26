import {
  type AnyObject,
  type LogEntry,
  type ResealableLog,
  SwarmdError,
  TABLE_NAMES,
  type TableName,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { ValueCipher } from '../cipher.js';
import { perTable } from '../engine/table.js';
import { Batch } from '../records/batch.js';
import { formatLogState, type LogState, parseLogState, sameLogState } from '../records/digest.js';
import { openSealed } from '../records/record.js';
import { damaged } from './damage.js';
import { writeFormatFile } from './format-file.js';
import type { HeadFile } from './head-file.js';
import { type Database, openDirectory, STATE_KEY } from './open-directory.js';
import { readRecords } from './read-records.js';
import { compactAll, resealableKeys, resealRecords } from './reseal.js';

/** What {@link openLevelLog} needs. */
export interface LevelLogOptions {
  /** Directory of the store, made when missing. It holds `FORMAT`, `head` and, in `db`, LevelDB. */
  dir: string;
  /** The cluster's data key: 32 bytes (see `loadOrCreateDataKey`); or a cipher whose keys may be replaced meanwhile. */
  dataKey: Uint8Array | ValueCipher;
  logger: Logger;
}

/**
 * Opens the embedded log: LevelDB, synced before an append resolves, values encrypted, checked as a whole at replay.
 * Rejects with `damaged`, and with `failed-precondition` when the directory is in use, of a newer format, or made with
 * another data key.
 */
export async function openLevelLog({ dir, dataKey, logger }: LevelLogOptions): Promise<ResealableLog> {
  const cipher = dataKey instanceof ValueCipher ? dataKey : new ValueCipher(dataKey);
  const { db, head } = await openDirectory(dir, cipher);
  return new LevelLog(dir, cipher, logger, db, head);
}

class LevelLog implements ResealableLog {
  readonly #dir: string;
  readonly #cipher: ValueCipher;
  readonly #logger: Logger;
  readonly #db: Database;
  readonly #head: HeadFile;
  /** The version of each record: what the digest has to take out when the record is replaced. */
  readonly #versions = perTable(() => new Map<string, number>());
  #state: LogState | undefined;
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closing: Promise<void> | undefined;

  constructor(dir: string, cipher: ValueCipher, logger: Logger, db: Database, head: HeadFile) {
    this.#dir = dir;
    this.#cipher = cipher;
    this.#logger = logger;
    this.#db = db;
    this.#head = head;
  }

  async replay(onObject: (table: TableName, key: string, value: AnyObject) => void): Promise<{ index: number }> {
    for (const table of TABLE_NAMES) this.#versions[table].clear();
    const found = await readRecords(this.#dir, this.#db, this.#cipher, ({ table, id, version, value }) => {
      this.#versions[table].set(id, version);
      onObject(table, id, value);
    });
    await this.#compareWithState(found);
    await this.#compareWithHead(found);
    this.#state = found;
    this.#logger.debug({ index: found.index, objects: found.digest.count }, 'read the store');
    return { index: found.index };
  }

  append(entries: readonly LogEntry[]): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new SwarmdError('unavailable', 'the log is closed'));
    const done = this.#last.then(() => this.#write(entries));
    this.#last = done.catch(() => {});
    return done;
  }

  async reseal(signal: AbortSignal): Promise<void> {
    // Batches in the making may be sealed with the key before: they are to be in the database first.
    await this.#inTurn(async () => {});
    for (const keys of await resealableKeys(this.#db)) {
      signal.throwIfAborted();
      await this.#inTurn(() => resealRecords(this.#dir, this.#db, this.#cipher, keys));
    }
    signal.throwIfAborted();
    await this.#inTurn(async () => {
      await this.#head.rewrite();
      await writeFormatFile(this.#dir, this.#cipher.keyId);
    });
    // What was sealed before is replaced, and yet in LevelDB's files until they are rewritten.
    await this.#inTurn(() => compactAll(this.#db));
  }

  close(): Promise<void> {
    this.#closing ??= this.#last.then(async () => {
      await this.#db.close();
      await this.#head.close();
    });
    return this.#closing;
  }

  /** Runs `change` once all that was asked before is done; its failure leaves the disk unknown, as a failed append does. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new SwarmdError('unavailable', 'the log is closed'));
    const done = this.#last.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#state === undefined)
        throw new SwarmdError('internal', 'a log must be replayed before it is sealed anew');
      try {
        await change();
      } catch (error) {
        this.#failure = error;
        throw error;
      }
    });
    this.#last = done.catch(() => {});
    return done;
  }

  async #write(entries: readonly LogEntry[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state === undefined) throw new SwarmdError('internal', 'a log must be replayed before it is appended to');
    if (entries.length === 0) return;
    try {
      const batch = new Batch(this.#cipher, this.#versions, this.#state);
      for (const { index, operations } of entries) await batch.add(index, operations);
      await this.#db.batch(this.#writesOf(batch), { sync: true });
      // Synced after the batch: a crash in between leaves a head that lags, which is no damage; it must never lead.
      await this.#head.write(batch.state);
      batch.remember();
      this.#state = batch.state;
    } catch (error) {
      // What is on disk is unknown now. Only a replay can tell.
      this.#failure = error;
      throw error;
    }
  }

  #writesOf({ records, state }: Batch): ({ type: 'put'; key: string; value: Buffer } | { type: 'del'; key: string })[] {
    const sealed = this.#cipher.seal(STATE_KEY, state.index, formatLogState(state));
    return [...records, [STATE_KEY, sealed] as const].map(([key, value]) =>
      value === undefined ? { type: 'del', key } : { type: 'put', key, value },
    );
  }

  async #compareWithState(found: LogState): Promise<void> {
    const sealed = await this.#db.get(STATE_KEY);
    if (sealed === undefined) throw damaged(this.#dir, 'db', 'the record of its state is missing');
    const opened = openSealed(this.#cipher, STATE_KEY, sealed, (finding) => damaged(this.#dir, 'db', finding));
    const state = parseLogState(opened.plaintext.toString());
    found.index = state.index;
    if (sameLogState(found, state)) return;
    const { count } = state.digest;
    const what = count === found.digest.count ? `${count} records, not the` : `${found.digest.count} records, not`;
    throw damaged(
      this.#dir,
      'db',
      `it holds ${what} ${count} that index ${state.index} left: some are lost or altered`,
    );
  }

  async #compareWithHead(found: LogState): Promise<void> {
    const acknowledged = this.#head.state;
    if (found.index < acknowledged.index)
      throw damaged(
        this.#dir,
        'db',
        `the newest writes are lost: index ${acknowledged.index} was acknowledged, and it ends at ${found.index}`,
      );
    if (found.index === acknowledged.index) {
      if (!sameLogState(found, acknowledged)) throw damaged(this.#dir, 'head', 'it does not belong to the files in db');
      return;
    }
    // The crash fell between a batch and its head. The batch is whole, so it counts.
    await this.#head.write(found);
  }
}
