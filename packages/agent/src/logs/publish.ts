import { once } from 'node:events';
import { asSwarmdError, type LogsOptions } from '@swarmd/model';
import type { DispatcherClient, LogRecord, LogSubscription, PublishLogsRequest } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { EngineClient } from '../engine/client.js';
import { readLogs } from './read.js';

/** A message carries at most this many records and about this many bytes. */
const MAX_RECORDS = 500;
const MAX_BYTES = 128 * 1024;

/** What of a task matters to its log. */
export interface LoggedTask {
  serviceId: string;
  containerId: string;
  tty: boolean;
}

/** Where logs come from. */
export interface LogSource {
  client(): EngineClient;
  /**
   * A task whose container has been started. With `wait` resolves when it is; `undefined` when it never will be on this
   * node.
   */
  task(id: string, wait: boolean, signal: AbortSignal): Promise<LoggedTask | undefined>;
}

/**
 * Sends the logs that a manager subscribed to, on a stream of their own, no faster than it takes them. Resolves when
 * everything was sent, the manager hung up, or `signal` aborted.
 */
export async function publishLogs(
  deps: { dispatcher: DispatcherClient; source: LogSource; logger: Logger },
  subscription: LogSubscription,
  signal: AbortSignal,
): Promise<void> {
  const { dispatcher, source, logger } = deps;
  const options = JSON.parse(Buffer.from(subscription.options).toString('utf8')) as LogsOptions;
  const hungUp = new AbortController();
  const call = dispatcher.publishLogs((error) => {
    if (error && !signal.aborted) logger.debug({ reason: error.message }, 'a log subscription ended early');
    hungUp.abort();
  });
  // The callback is told too; without a listener the event would throw.
  call.on('error', () => hungUp.abort());
  const stop = AbortSignal.any([signal, hungUp.signal]);
  const outlet = new Outlet(subscription.id, async (request) => {
    if (!call.write(request) && !stop.aborted) await once(call, 'drain', { signal: stop }).catch(() => {});
  });
  const errors = await Promise.all(
    subscription.taskIds.map(async (taskId) => {
      try {
        return await publishTask(source, taskId, options, outlet, stop);
      } catch (thrown) {
        return `logs of task ${taskId}: ${asSwarmdError(thrown).message}`;
      }
    }),
  );
  if (hungUp.signal.aborted) return;
  if (signal.aborted) {
    call.cancel();
    return;
  }
  await outlet.end(errors.filter((error) => error !== undefined).join('; '));
  call.end();
}

async function publishTask(
  source: LogSource,
  taskId: string,
  options: LogsOptions,
  outlet: Outlet,
  signal: AbortSignal,
): Promise<string | undefined> {
  const task = await source.task(taskId, options.follow, signal);
  if (task === undefined) return signal.aborted ? undefined : `task ${taskId} has no container on this node`;
  const container = { id: task.containerId, tty: task.tty };
  for await (const { stream, timestamp, data } of readLogs(source.client(), container, options, signal)) {
    await outlet.put({ taskId, serviceId: task.serviceId, stream, timestamp, data });
  }
  return undefined;
}

/** Gathers records into messages: full ones at once, others at the end of the event loop's turn. */
class Outlet {
  readonly #subscriptionId: string;
  readonly #write: (request: PublishLogsRequest) => Promise<void>;
  #records: LogRecord[] = [];
  #bytes = 0;
  #scheduled = false;
  #last: Promise<void> = Promise.resolve();

  constructor(subscriptionId: string, write: (request: PublishLogsRequest) => Promise<void>) {
    this.#subscriptionId = subscriptionId;
    this.#write = write;
  }

  /** Resolves when there is room for the next record. */
  async put(record: LogRecord): Promise<void> {
    this.#records.push(record);
    this.#bytes += record.data.length + record.timestamp.length + record.taskId.length;
    if (this.#records.length >= MAX_RECORDS || this.#bytes >= MAX_BYTES) return this.#flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#flush().catch(() => {});
    });
  }

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
      this.#last = this.#last.then(() => this.#write(request));
    }
    return this.#last;
  }
}
