import { createInterface } from 'node:readline/promises';
import type { CommandContext } from './command.js';

/** Asks whether to go on; no is the answer of whoever says nothing. */
export async function agreed({ stdin, out }: Pick<CommandContext, 'stdin' | 'out'>): Promise<boolean> {
  out.write('Go on? [y/N] ');
  const lines = createInterface({ input: stdin });
  try {
    const { value } = await lines[Symbol.asyncIterator]().next();
    return /^y(es)?$/i.test(String(value ?? '').trim());
  } finally {
    lines.close();
  }
}
