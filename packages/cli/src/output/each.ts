import type { CommandContext } from '../program/command.js';
import { CommandError } from '../program/errors.js';

/**
 * Does something to each reference, one after the other, and prints the line it returns; failures are collected and
 * thrown together at the end.
 */
export async function forEachRef(
  context: Pick<CommandContext, 'out'>,
  refs: readonly string[],
  act: (ref: string) => Promise<string>,
): Promise<void> {
  const failures: string[] = [];
  for (const ref of refs) {
    try {
      context.out.write(`${await act(ref)}\n`);
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      failures.push(thrown.message);
    }
  }
  if (failures.length > 0) throw new CommandError(failures.join('\n'));
}
