import type { ApiService, ApiTask } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { getService } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, text } from '../../program/flag-types.js';
import { parseDurationNs } from '../../text/durations.js';
import { type LogFrame, readFrames } from './log-frames.js';
import { LogLineFormatter } from './log-lines.js';

/** `service logs`. */
export const serviceLogs: Command = command({
  name: 'logs',
  summary: 'Fetch the logs of a service or task',
  synopsis: 'SERVICE|TASK',
  arity: 1,
  argument: 'service',
  flags: {
    details: bool('Show extra details provided to logs'),
    follow: bool('Follow log output', { short: 'f' }),
    'no-resolve': bool('Do not map IDs to Names in output'),
    'no-task-ids': bool('Do not include task IDs in output'),
    'no-trunc': bool('Do not truncate output'),
    raw: bool('Do not neatly format logs'),
    since: text('Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
    tail: text('Number of lines to show from the end of the logs', { short: 'n', defaultText: '"all"' }),
    timestamps: bool('Show timestamps', { short: 't' }),
  },
  async run(context, { flags, args }) {
    const target = await findTarget(context, args[0]!);
    if (target.tty && !flags.raw) throw new CommandError('tty service logs only supported with --raw');
    const response = await context.client.stream(`${target.path}/logs`, {
      query: {
        stdout: true,
        stderr: true,
        follow: flags.follow ? true : undefined,
        timestamps: flags.timestamps ? true : undefined,
        details: flags.details || !flags.raw ? true : undefined,
        tail: flags.tail ?? 'all',
        since: flags.since === undefined ? undefined : parseSince(flags.since, context.now()),
      },
      signal: context.signal,
    });
    const formatter = new LogLineFormatter(context.client, flags, target.padding);
    const write = async ({ stream, data }: LogFrame): Promise<void> => {
      const screen = stream === 2 ? context.err : context.out;
      screen.write(flags.raw ? data.toString('utf8') : await formatter.format(data.toString('utf8')));
    };
    if (target.tty) for await (const chunk of response) context.out.write(String(chunk));
    else for await (const frame of readFrames(response)) await write(frame);
  },
});

interface Target {
  path: string;
  tty: boolean;
  /** Width of the widest slot number. */
  padding: number;
}

async function findTarget({ client }: CommandContext, ref: string): Promise<Target> {
  try {
    const service: ApiService = await getService(client, ref);
    const replicas = service.Spec.Mode?.Replicated?.Replicas ?? 0;
    const tty = service.Spec.TaskTemplate?.ContainerSpec?.TTY === true;
    return { path: objectPath('services', service.ID), tty, padding: String(replicas).length };
  } catch (thrown) {
    if (!isNotFound(thrown)) throw thrown;
  }
  try {
    const task = await client.get<ApiTask>(objectPath('tasks', ref));
    const tty = task.Spec.ContainerSpec?.TTY === true;
    return { path: objectPath('tasks', task.ID), tty, padding: String(task.Slot ?? 0).length };
  } catch (thrown) {
    if (isNotFound(thrown)) throw new CommandError(`no such task or service: ${ref}`);
    throw thrown;
  }
}

/** Seconds since the epoch, as the API takes it, of a time stamp or of a duration that ends now. */
export function parseSince(value: string, now: number): string {
  if (/^\d+(\.\d+)?$/.test(value)) return value;
  try {
    return String((now - parseDurationNs(value) / 1e6) / 1000);
  } catch {
    const time = Date.parse(value);
    if (Number.isNaN(time))
      throw new CommandError(
        `invalid value for "since": failed to parse value as time or duration: ${JSON.stringify(value)}`,
      );
    return String(time / 1000);
  }
}
