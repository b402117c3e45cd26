import { prefixEnd, rangeOp, rangeResult, type WatchResponse } from '@swarmd/etcd';
import { asSwarmdError, type LogEvent, pause } from '@swarmd/model';
import type { LogContext } from './log-context.js';
import type { LogPosition } from './log-position.js';
import { applyRevision, byRevision, readRevision } from './revision.js';

/** Between attempts to watch again, doubling from the first to the last. */
const RETRY_MS = { min: 100, max: 1_000 } as const;
/** A watch is compared with what this host's member has this often; one that is behind twice in a row has fallen silent. */
const CHECK_MS = 2_000;

/** The follower's side of a log in etcd: a watch, begun again where it was when the connection is lost. */
export class LogFollower {
  readonly #context: LogContext;
  readonly #position: LogPosition;
  readonly #onEvent: (event: LogEvent) => void;
  /** The first revision that nobody has been told of. */
  #next: number;
  #ended = false;
  #endWatch: () => void = () => {};
  /** What is being worked on of the last answer. */
  #handling: Promise<void> = Promise.resolve();

  /** Begins with the revision after `told`. */
  constructor(context: LogContext, position: LogPosition, told: number, onEvent: (event: LogEvent) => void) {
    this.#context = context;
    this.#position = position;
    this.#next = told + 1;
    this.#onEvent = onEvent;
    void this.#run();
  }

  /** Everything up to this revision has been told. */
  get told(): number {
    return this.#next - 1;
  }

  /** Ends it: nothing more is told. */
  end(): void {
    this.#ended = true;
    this.#endWatch();
  }

  async #run(): Promise<void> {
    let waitMs: number = RETRY_MS.min;
    while (!this.#ended) {
      const from = this.#next;
      await this.#watch();
      await this.#handling;
      if (this.#ended) return;
      waitMs = this.#next > from ? RETRY_MS.min : Math.min(waitMs * 2, RETRY_MS.max);
      await pause(this.#context.clock, waitMs, this.#context.closed);
    }
  }

  /** One watch, until it ends. */
  #watch(): Promise<void> {
    const { client, layout, logger } = this.#context;
    return new Promise((done) => {
      const stopChecks = this.#checkFromTimeToTime();
      const resolve = (): void => {
        stopChecks();
        done();
      };
      const request = {
        key: Buffer.from(layout.prefix),
        rangeEnd: prefixEnd(layout.prefix),
        startRevision: this.#next,
        progressNotify: true,
      };
      const endWatch = client.watch(request, {
        onResponse: (response) => {
          this.#handling = this.#handle(response).then((goesOn) => {
            if (!goesOn) this.#endWatch();
          });
          return this.#handling;
        },
        onEnd: (error) => {
          logger.debug({ err: error, next: this.#next }, 'the watch of etcd ended: it is begun again');
          resolve();
        },
      });
      this.#endWatch = () => {
        endWatch();
        resolve();
      };
    });
  }

  /**
   * Ends a watch on which nothing comes any more, though its connection lives: nobody else would notice before somebody
   * reads. The returned function ends the checks.
   */
  #checkFromTimeToTime(): () => void {
    const { clock, logger } = this.#context;
    let ended = false;
    let behind: number | undefined;
    const check = async (): Promise<void> => {
      const newest = await this.#newestRevision();
      await this.#handling;
      if (ended) return;
      const next = this.#next;
      if (newest >= next && behind === next) {
        logger.warn({ next, newest }, 'the watch of etcd has fallen silent: it is begun again');
        this.#endWatch();
        return;
      }
      behind = newest >= next ? next : undefined;
      plan();
    };
    let cancel = (): void => {};
    const plan = (): void => {
      cancel = clock.after(CHECK_MS, () => void check());
    };
    plan();
    return () => {
      ended = true;
      cancel();
    };
  }

  /** When this host's member saw the log or its leader change last; 0 when it does not answer. */
  async #newestRevision(): Promise<number> {
    const { client, layout } = this.#context;
    const keys = [layout.state, layout.leader];
    try {
      const response = await client.txn({ success: keys.map((key) => rangeOp(key, { serializable: true })) });
      return Math.max(...keys.map((_, i) => rangeResult(response, i)[0]?.modRevision ?? 0));
    } catch {
      // A connection that is lost ends the watch by itself.
      return 0;
    }
  }

  /** Tells of an answer; whether the watch goes on. */
  async #handle(response: WatchResponse): Promise<boolean> {
    try {
      if (response.canceled) {
        if (response.compactRevision > 0)
          this.#lose(`etcd was compacted at revision ${response.compactRevision}, after ${this.told} that was known`);
        return false;
      }
      for (const [revision, events] of byRevision(response.events)) {
        // An answer may repeat what came before the connection was lost.
        if (revision < this.#next) continue;
        const read = await readRevision(this.#context, this.#position.parts, revision, events);
        if (this.#ended) return false;
        const told = applyRevision(this.#context, this.#position, read);
        this.#next = revision + 1;
        for (const event of told) this.#tell(event);
      }
      if (!response.created && response.events.length === 0)
        this.#next = Math.max(this.#next, (response.header?.revision ?? 0) + 1);
      return true;
    } catch (error) {
      this.#lose(asSwarmdError(error).message);
      return false;
    }
  }

  #lose(reason: string): void {
    if (this.#ended) return;
    this.#tell({ kind: 'lost', reason });
    this.end();
  }

  #tell(event: LogEvent): void {
    if (this.#ended) return;
    try {
      this.#onEvent(event);
    } catch (error) {
      this.#context.logger.error({ err: error, kind: event.kind }, 'a follower of the log failed');
    }
  }
}
