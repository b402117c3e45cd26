import { setImmediate as turn } from 'node:timers/promises';
import { type LogOperation, TABLE_NAMES } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';
import { type PerTable, perTable } from '../engine/table.js';
import type { LogState } from './digest.js';
import { recordKey } from './record.js';

/** Operations sealed before other work gets a turn: some milliseconds. */
const OPERATIONS_PER_TURN = 500;

/** The version of each record that a log holds: what its digest has to take out when the record is replaced. */
export type RecordVersions = PerTable<Map<string, number>>;

/** One batch in the making: sealed records and the state that they lead to. */
export class Batch {
  /** The log's state after what has been added. */
  state: LogState;
  /** The last write of each record key: a sealed value, or `undefined` for a deletion. */
  readonly records = new Map<string, Buffer | undefined>();
  /** Size of the records, keys included. */
  bytes = 0;
  readonly #cipher: ValueCipher;
  readonly #versions: RecordVersions;
  /** Versions after the operations so far; `undefined` is deleted. */
  readonly #changed = perTable(() => new Map<string, number | undefined>());
  #untilTurn = OPERATIONS_PER_TURN;

  constructor(cipher: ValueCipher, versions: RecordVersions, state: LogState) {
    this.#cipher = cipher;
    this.#versions = versions;
    this.state = state;
  }

  /** Adds the transaction with the given index. Other work gets a turn from time to time. */
  async add(index: number, operations: readonly LogOperation[]): Promise<void> {
    for (const operation of operations) {
      this.#addOne(index, operation);
      if (--this.#untilTurn > 0) continue;
      this.#untilTurn = OPERATIONS_PER_TURN;
      await turn();
    }
    this.state = { index, digest: this.state.digest };
  }

  /** Brings the versions up to date, once the batch is durable. */
  remember(): void {
    for (const table of TABLE_NAMES) {
      for (const [id, version] of this.#changed[table]) {
        if (version === undefined) this.#versions[table].delete(id);
        else this.#versions[table].set(id, version);
      }
    }
  }

  #addOne(index: number, { table, key: id, value }: LogOperation): void {
    const key = recordKey(table, id);
    const changed = this.#changed[table];
    const previous = changed.has(id) ? changed.get(id) : this.#versions[table].get(id);
    let { digest } = this.state;
    if (previous !== undefined) digest = digest.without(key, previous);
    if (value === undefined) {
      changed.set(id, undefined);
      this.#write(key, undefined);
    } else {
      digest = digest.with(key, index);
      changed.set(id, index);
      this.#write(key, this.#cipher.seal(key, index, JSON.stringify(value)));
    }
    this.state = { index: this.state.index, digest };
  }

  #write(key: string, sealed: Buffer | undefined): void {
    const replaced = this.records.get(key);
    if (replaced !== undefined) this.bytes -= replaced.length;
    if (!this.records.has(key)) this.bytes += Buffer.byteLength(key);
    this.bytes += sealed?.length ?? 0;
    this.records.set(key, sealed);
  }
}
