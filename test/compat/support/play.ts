import { setTimeout as delay } from 'node:timers/promises';
import type { CommandResult } from '@swarmd/testkit';
import { normalise, normalisedText, type Outcome } from './normalise.js';
import type { Step } from './scenario.js';
import type { Side } from './side.js';

const POLL_MS = 150;
/** Longer than anything that a step waits for takes on a busy machine; what is not there by then is compared as it is. */
const SETTLE_MS = 25_000;

/** What a side has kept under a name, for later steps. */
export type Kept = Map<string, string>;

/** A step's command as people type it. */
export function title(step: Step): string {
  if (step.call !== undefined) return step.call;
  if (step.restart) return `restart h${step.host ?? 1}`;
  const args = typeof step.run === 'string' ? step.run : (step.run ?? []).map(quote).join(' ');
  return `${step.host === undefined || step.host === 1 ? '' : `[h${step.host}] `}docker ${args}`;
}

/** Plays a step on one side; with `until`, as often as that takes. */
export async function play(side: Side, step: Step, kept: Kept): Promise<Outcome> {
  const deadline = performance.now() + SETTLE_MS;
  let result = await once(side, step, kept);
  while (step.until !== undefined && !step.until.test(normalisedText(result, step)) && performance.now() < deadline) {
    await delay(POLL_MS);
    result = await once(side, step, kept);
  }
  if (step.keep !== undefined) kept.set(step.keep, result.stdout.trim());
  return normalise(result, step);
}

async function once(side: Side, step: Step, kept: Kept): Promise<CommandResult> {
  const fill = (text: string): string =>
    text.replace(/\$\{(\w+)\}/g, (_, name: string) => kept.get(name) ?? `<nothing kept as ${name}>`);
  if (step.restart) {
    await side.restart((step.host ?? 1) - 1);
    return { code: 0, stdout: '', stderr: '' };
  }
  if (step.call !== undefined) {
    const [method = 'GET', path = '/'] = fill(step.call).split(/ (.*)/s);
    const body = step.body === undefined ? undefined : fillBody(step.body, fill);
    return side.call(method, path, body);
  }
  const args = typeof step.run === 'string' ? step.run.split(' ') : (step.run ?? []);
  return side.docker((step.host ?? 1) - 1, args.map(fill), step.input && fill(step.input));
}

function fillBody(body: unknown, fill: (text: string) => string): unknown {
  return typeof body === 'string' ? fill(body) : JSON.parse(fill(JSON.stringify(body)));
}

function quote(arg: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(arg) ? arg : `'${arg}'`;
}
