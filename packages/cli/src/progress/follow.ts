import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiService, ApiTask } from '../client/api-types.js';
import type { Client } from '../client/client.js';
import { getService, listNodes, listTasks } from '../client/resources.js';
import type { CommandContext } from '../program/command.js';
import { CommandError, INTERRUPTED } from '../program/errors.js';
import { ProgressDisplay } from './display.js';
import { isOvertaken, progressLines, type ServiceProgress, serviceProgress } from './service-progress.js';
import { type Expectation, judge, type Since } from './verdict.js';

/** Between two looks, as in the docker CLI. */
export const POLL_MS = 200;

/**
 * Follows a service until it has converged and stayed so for its monitor period. Resolves with the exit code; throws
 * CommandError, with a task's error, when its update was paused or rolled back, or when its tasks ended for good. Ctrl-C
 * leaves the service as it is and resolves with 130.
 */
export async function followService(
  context: CommandContext,
  id: string,
  options: Expectation & { quiet: boolean },
): Promise<number> {
  const { client, signal } = context;
  const display = options.quiet ? undefined : new ProgressDisplay(context.out);
  const look = async (): Promise<void> => {
    let since: Since = { sinceMs: undefined };
    for (;;) {
      const service = await getService(client, id, signal);
      const tasks = await listTasks(client, { service: [id], '_up-to-date': ['true'] }, signal);
      const progress = await progressOf(client, service, { tasks, active: await activeNodes(client, signal) }, signal);
      const verdict = judge(service, progress, options, { ...since, nowMs: context.now() });
      const done = service.JobStatus === undefined ? `Service ${id} converged` : 'job complete';
      const note = verdict.kind === 'converged' ? done : verdict.kind === 'waiting' ? verdict.note : undefined;
      display?.show([...progressLines(progress), ...(note === undefined ? [] : [{ id: 'verify', text: note }])]);
      if (verdict.kind === 'converged') return;
      if (verdict.kind === 'failed') throw new CommandError(await withTaskError(client, id, verdict.message));
      since = verdict;
      await sleep(POLL_MS, undefined, { signal });
    }
  };
  return untilInterrupted(context, look, `swarmctl service ps ${id}`);
}

/** Runs `look`; when Ctrl-C ends it, says how to look again. Resolves with the exit code. */
export async function untilInterrupted(
  { signal, err }: Pick<CommandContext, 'signal' | 'err'>,
  look: () => Promise<void>,
  hint: string,
): Promise<number> {
  try {
    await look();
    return 0;
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    err.write(`Operation continuing in background.\nUse \`${hint}\` to check progress.\n`);
    return INTERRUPTED;
  }
}

/** IDs of the nodes that are not down. */
export async function activeNodes(client: Client, signal: AbortSignal): Promise<Set<string>> {
  const nodes = await listNodes(client, {}, signal);
  return new Set(nodes.filter(({ Status }) => Status.State !== 'down').map(({ ID }) => ID));
}

/**
 * A service's progress, from its up-to-date tasks and the nodes that are not down, in the words for a rollback while one
 * runs. All its tasks are asked for before it is called hopeless.
 */
export async function progressOf(
  client: Client,
  service: ApiService,
  { tasks, active }: { tasks: readonly ApiTask[]; active: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<ServiceProgress> {
  const progress = serviceProgress(service, tasks, active, service.UpdateStatus?.State === 'rollback_started');
  if (!progress.hopeless) return progress;
  const all = await listTasks(client, { service: [service.ID] }, signal);
  return { ...progress, hopeless: !isOvertaken(service, tasks, all) };
}

/** The message with the newest error of a service's tasks, if there is one. */
export async function withTaskError(client: Client, id: string, message: string): Promise<string> {
  const tasks = await listTasks(client, { service: [id] });
  const failed = tasks
    .filter(({ Status }) => (Status.Err ?? '') !== '' && ['failed', 'rejected'].includes(Status.State))
    .toSorted((a, b) => Date.parse(b.Status.Timestamp) - Date.parse(a.Status.Timestamp))[0];
  return failed === undefined ? message : `${message}\ntask ${failed.ID}: ${failed.Status.Err}`;
}
