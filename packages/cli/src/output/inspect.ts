import { DOCKER_FUNCTIONS, parseTemplate, toGoJson } from '@swarmd/template';
import type { CommandContext } from '../program/command.js';
import { CommandError } from '../program/errors.js';
import { templateFailure } from './list.js';

/**
 * Prints objects as `inspect` does: a JSON array, the same in one line (`json`), or a template's output a line each.
 * What was found is printed even if a reference could not be resolved; that then is the error.
 */
export async function printInspect(
  context: Pick<CommandContext, 'out'>,
  refs: readonly string[],
  format: string | undefined,
  find: (ref: string) => Promise<unknown>,
): Promise<void> {
  const found: unknown[] = [];
  const failures: string[] = [];
  for (const ref of refs) {
    try {
      found.push(await find(ref));
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      failures.push(thrown.message);
    }
  }
  context.out.write(render(found, format));
  if (failures.length > 0) throw new CommandError(failures.join('\n'));
}

function render(found: readonly unknown[], format: string | undefined): string {
  if (format === undefined || format === '') {
    return found.length === 0 ? '[]\n' : `${JSON.stringify(found, undefined, 4)}\n`;
  }
  if (format === 'json') return `${toGoJson(found)}\n`;
  try {
    const template = parseTemplate(format, { functions: DOCKER_FUNCTIONS });
    return found.length === 0 ? '\n' : found.map((object) => `${template.execute(object)}\n`).join('');
  } catch (thrown) {
    throw templateFailure(thrown);
  }
}
