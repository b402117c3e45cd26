import type { ApiTask } from '../../client/api-types.js';
import { getNode, listTasks } from '../../client/resources.js';
import { parseFilters } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { printTasks, TASK_FLAGS } from '../task/print.js';

/** `node ps`. */
export const nodePs: Command = command({
  name: 'ps',
  summary: 'List tasks running on one or more nodes, defaults to current node',
  synopsis: '[NODE...]',
  arity: { min: 0 },
  argument: 'node',
  flags: TASK_FLAGS,
  async run(context, { flags, args }) {
    const failures: string[] = [];
    const tasks: ApiTask[] = [];
    for (const ref of args.length === 0 ? ['self'] : args) {
      try {
        const node = await getNode(context.client, ref);
        tasks.push(...(await listTasks(context.client, { ...parseFilters(flags.filter), node: [node.ID] })));
      } catch (thrown) {
        if (!(thrown instanceof CommandError)) throw thrown;
        failures.push(thrown.message);
      }
    }
    if (tasks.length > 0 || failures.length === 0) await printTasks(context, tasks, flags);
    if (failures.length > 0) throw new CommandError(failures.join('\n'));
  },
});
