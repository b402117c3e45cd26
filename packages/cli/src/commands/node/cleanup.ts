import type { CleanupReport } from '@swarmd/model';
import { type ListLayout, printList } from '../../output/list.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { bool } from '../../program/flag-types.js';

const ITEMS: ListLayout = {
  headers: { Kind: 'KIND', Name: 'NAME', Result: 'RESULT' },
  table: '{{.Kind}}\t{{.Name}}\t{{.Result}}',
};

/** `node cleanup`. */
export const nodeCleanup: Command = command({
  name: 'cleanup',
  summary: "List what swarmd's networks have left on this host; with --yes, remove it",
  flags: {
    yes: bool('Remove what is listed', { short: 'y' }),
    force: bool('Although this node is in a cluster', { short: 'f' }),
  },
  async run(context, { flags: { yes, force } }) {
    const body = { Remove: yes, Force: force };
    const report = await context.client.post<CleanupReport>('/swarmd/cleanup', { body, signal: context.signal });
    return describe(context, report);
  },
});

function describe(context: CommandContext, { Items, Removed }: CleanupReport): number {
  if (Items.length === 0) {
    context.out.write('Nothing of swarmd’s networks is on this host.\n');
    return 0;
  }
  const rows = Items.map((item) => ({ ...item, Result: item.Removed ? 'removed' : item.Error || 'there' }));
  printList(context, ITEMS, rows, {});
  if (!Removed) context.out.write('\nNothing was removed: swarmctl node cleanup --yes removes all of this.\n');
  return Items.some(({ Error: error }) => error !== '') ? 1 : 0;
}
