import type { LogRecord, PublishLogsRequest } from '@swarmd/wire';

/** A message carries at most this many records and about this many bytes. */
const MAX_RECORDS = 500;
const MAX_BYTES = 128 * 1024;
/** Messages that may wait for the manager to take them; then whoever reads the log waits too. */
const MAX_WAITING = 4;

/** Gathers records into messages: full ones at once, others at the end of the event loop's turn. */
export class LogOutlet {
  readonly #subscriptionId: string;
  readonly #write: (request: PublishLogsRequest) => Promise<void>;
  #records: LogRecord[] = [];
  #bytes = 0;
  #scheduled = false;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  /** `write` resolves when there is room for the next message. */
  constructor(subscriptionId: string, write: (request: PublishLogsRequest) => Promise<void>) {
    this.#subscriptionId = subscriptionId;
    this.#write = write;
  }

  /** Resolves when there is room for the next record. */
  async put(record: LogRecord): Promise<void> {
    this.#records.push(record);
    this.#bytes += record.data.length + record.timestamp.length + record.taskId.length;
    if (this.#records.length >= MAX_RECORDS || this.#bytes >= MAX_BYTES) return this.#flush();
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#flush().catch(() => {});
      });
    }
    // Messages that are never full would pile up one a turn otherwise.
    if (this.#waiting >= MAX_WAITING) return this.#last;
  }

  /** Sends what is there and says that nothing follows; `error` is empty when nothing went wrong. */
  async end(error: string): Promise<void> {
    await this.#flush();
    await this.#write({ subscriptionId: this.#subscriptionId, records: [], end: true, error });
  }

  #flush(): Promise<void> {
    this.#scheduled = false;
    if (this.#records.length > 0) {
      const records = this.#records;
      this.#records = [];
      this.#bytes = 0;
      const request = { subscriptionId: this.#subscriptionId, records, end: false, error: '' };
      this.#waiting++;
      this.#last = this.#last
        .then(() => this.#write(request))
        .finally(() => {
          this.#waiting--;
        });
    }
    return this.#last;
  }
}
