import { once } from 'node:events';
import { asSwarmdError, type LogsOptions } from '@swarmd/model';
import type { DispatcherClient, LogSubscription } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { EngineClient } from '../engine/client.js';
import { LogOutlet } from './outlet.js';
import { readLogs } from './read.js';

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
  const outlet = new LogOutlet(subscription.id, async (request) => {
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
  outlet: LogOutlet,
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
