import { setImmediate as turn } from 'node:timers/promises';
import { type LogOperation, TABLE_NAMES, type TableName } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';
import { type PerTable, perTable } from '../engine/table.js';
import { formatLogState, type LogState } from './digest.js';
import { STATE_KEY } from './open-directory.js';

/** Operations sealed before other work gets a turn: some milliseconds. */
const OPERATIONS_PER_TURN = 500;

/** One batch in the making: sealed operations and the state that they lead to. */
export class Batch {
  /** The log's state after what has been added. */
  state: LogState;
  readonly #cipher: ValueCipher;
  readonly #versions: PerTable<Map<string, number>>;
  readonly #writes: ({ type: 'put'; key: string; value: Buffer } | { type: 'del'; key: string })[] = [];
  /** Versions after the operations so far; `undefined` is deleted. */
  readonly #changed = perTable(() => new Map<string, number | undefined>());
  #untilTurn = OPERATIONS_PER_TURN;

  constructor(cipher: ValueCipher, versions: PerTable<Map<string, number>>, state: LogState) {
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

  /** All writes, the one of the state last. Call once. */
  writes() {
    const state = this.#cipher.seal(STATE_KEY, this.state.index, formatLogState(this.state));
    this.#writes.push({ type: 'put', key: STATE_KEY, value: state });
    return this.#writes;
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
      this.#writes.push({ type: 'del', key });
    } else {
      digest = digest.with(key, index);
      changed.set(id, index);
      this.#writes.push({ type: 'put', key, value: this.#cipher.seal(key, index, JSON.stringify(value)) });
    }
    this.state = { index: this.state.index, digest };
  }
}

function recordKey(table: TableName, id: string): string {
  return `${table}/${id}`;
}
