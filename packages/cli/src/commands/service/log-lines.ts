import type { ApiTask } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { shortId } from '../../output/list.js';
import { resolveNames } from '../task/print.js';

const CONTEXT = 'com.docker.swarm.';

/** Flags that decide what stands in front of a line. */
export interface LogLineOptions {
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly 'no-resolve': boolean;
  readonly 'no-task-ids': boolean;
  readonly 'no-trunc': boolean;
}

/** Puts the task and node in front of each line: `web.1.5kl2mn3op4qr@node1    | text`. */
export class LogLineFormatter {
  private readonly client: Client;
  private readonly options: LogLineOptions;
  private readonly padding: number;
  private readonly sources = new Map<string, string>();

  /** `padding` is the width of the widest slot number. */
  constructor(client: Client, options: LogLineOptions, padding: number) {
    this.client = client;
    this.options = options;
    this.padding = padding;
  }

  /** The line to show for one that carries its details (`key=value,…`) in front. */
  async format(line: string): Promise<string> {
    const { timestamp, details, message } = splitLine(line, this.options.timestamps);
    if (details === undefined) return line;
    const id = (name: string): string => details.get(`${CONTEXT}${name}.id`) ?? '';
    const source = await this.source({ node: id('node'), service: id('service'), task: id('task') });
    const extra = [...details].filter(([key]) => !key.startsWith(CONTEXT)).map(([key, value]) => `${key}=${value}`);
    const shownDetails = this.options.details ? `${extra.toSorted().join(',')} ` : '';
    return `${timestamp === '' ? '' : `${timestamp} `}${source}    | ${shownDetails}${message}`;
  }

  private async source(ids: { node: string; service: string; task: string }): Promise<string> {
    const known = this.sources.get(ids.task);
    if (known !== undefined) return known;
    const { 'no-resolve': noResolve, 'no-task-ids': noTaskIds, 'no-trunc': noTrunc } = this.options;
    const names = noResolve
      ? undefined
      : await resolveNames(this.client, [{ ServiceID: ids.service, NodeID: ids.node }]);
    const slot = await this.slot(ids.task);
    const taskId = noTaskIds ? '' : `.${noTrunc ? ids.task : shortId(ids.task)}`;
    const service = names?.service(ids.service) ?? ids.service;
    const node = names?.node(ids.node) ?? ids.node;
    const source = `${service}.${slot}${taskId}@${node}${' '.repeat(Math.max(0, this.padding - String(slot).length))}`;
    this.sources.set(ids.task, source);
    return source;
  }

  private async slot(taskId: string): Promise<number> {
    try {
      return (await this.client.get<ApiTask>(objectPath('tasks', taskId))).Slot ?? 0;
    } catch (thrown) {
      // Its logs can outlive a task's record.
      if (isNotFound(thrown)) return 0;
      throw thrown;
    }
  }
}

/** Parts of a line; `details` is undefined for one that has none. */
export function splitLine(
  line: string,
  timestamps: boolean,
): { timestamp: string; details: Map<string, string> | undefined; message: string } {
  const match = (timestamps ? /^(\S+) (\S*=\S*) (.*)$/s : /^()(\S*=\S*) (.*)$/s).exec(line);
  if (match === null) return { timestamp: '', details: undefined, message: line };
  const pairs = match[2]!.split(',').map((pair): [string, string] => {
    const at = pair.indexOf('=');
    const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '));
    return [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
  });
  return { timestamp: match[1]!, details: new Map(pairs), message: match[3]! };
}
