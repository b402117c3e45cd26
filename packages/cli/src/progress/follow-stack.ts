import { setTimeout as sleep } from 'node:timers/promises';
import { alignColumns } from '@swarmd/template';
import { listServices, listTasks, ofStack } from '../client/resources.js';
import type { CommandContext } from '../program/command.js';
import { CommandError } from '../program/errors.js';
import { naturalCompare } from '../text/natural-order.js';
import { ProgressDisplay } from './display.js';
import { activeNodes, POLL_MS, progressOf, untilInterrupted, withTaskError } from './follow.js';
import type { ProgressLine, ServiceProgress } from './service-progress.js';
import { type Expectation, judge, type Verdict } from './verdict.js';

/**
 * Follows the services of a stack, given by ID, in one table until each has converged or failed. Resolves with the exit
 * code; throws CommandError with the errors of those that failed.
 */
export async function followStack(
  context: CommandContext,
  namespace: string,
  expectations: ReadonlyMap<string, Expectation>,
  { quiet }: { quiet: boolean },
): Promise<number> {
  const { client, signal } = context;
  const display = quiet ? undefined : new ProgressDisplay(context.out);
  const verdicts = new Map<string, Verdict>();
  const look = async (): Promise<void> => {
    for (;;) {
      const services = (await listServices(client, ofStack(namespace)))
        .filter(({ ID }) => expectations.has(ID))
        .toSorted((a, b) => naturalCompare(a.Spec.Name ?? '', b.Spec.Name ?? ''));
      const tasks = await listTasks(client, { ...ofStack(namespace), '_up-to-date': ['true'] }, signal);
      const active = await activeNodes(client, signal);
      const rows: StackRow[] = [];
      for (const service of services) {
        const own = tasks.filter(({ ServiceID }) => ServiceID === service.ID);
        const progress = await progressOf(client, service, { tasks: own, active }, signal);
        const last = verdicts.get(service.ID);
        const since = last?.kind === 'waiting' ? last : { sinceMs: undefined };
        const settled = last !== undefined && last.kind !== 'waiting';
        const verdict = settled
          ? last
          : judge(service, progress, expectations.get(service.ID)!, { ...since, nowMs: context.now() });
        verdicts.set(service.ID, verdict);
        rows.push({ name: service.Spec.Name ?? service.ID, progress, verdict });
      }
      display?.show(context.out.isTerminal ? tableLines(rows) : wordLines(rows));
      if (services.every(({ ID }) => verdicts.get(ID)?.kind !== 'waiting')) return;
      await sleep(POLL_MS, undefined, { signal });
    }
  };
  const exitCode = await untilInterrupted(context, look, `swarmctl stack ps ${namespace}`);
  const failures: string[] = [];
  for (const [id, verdict] of verdicts) {
    if (verdict.kind === 'failed') failures.push(`${id}: ${await withTaskError(client, id, verdict.message)}`);
  }
  if (failures.length > 0) throw new CommandError(failures.join('\n'));
  return exitCode;
}

/** A service in the table of a deploy. */
export interface StackRow {
  readonly name: string;
  readonly progress: ServiceProgress;
  readonly verdict: Verdict;
}

/** The table that is drawn on a terminal. */
export function tableLines(rows: readonly StackRow[]): ProgressLine[] {
  const lines = rows.map(({ name, progress, verdict }) =>
    [name, `${progress.done}/${progress.wanted}`, detail(progress, verdict)].join('\t'),
  );
  return alignColumns(['SERVICE\tTASKS\tSTATE', ...lines].join('\n'))
    .split('\n')
    .map((text) => ({ id: '', text: text.trimEnd() }));
}

function wordLines(rows: readonly StackRow[]): ProgressLine[] {
  return rows.map(({ name, progress, verdict }) => ({
    id: name,
    text: `${progress.done} out of ${progress.wanted} tasks, ${detail(progress, verdict)}`,
  }));
}

/** The most telling word about a service: its failure, a task's error, the state that most of its tasks wait in. */
function detail({ slots, converged }: ServiceProgress, verdict: Verdict): string {
  if (verdict.kind === 'failed') return verdict.message;
  if (verdict.kind === 'converged') return 'converged';
  if (converged) return 'running, being watched';
  const error = slots.find(({ text, fraction }) => fraction === undefined && text !== '');
  if (error !== undefined) return error.text;
  const behind = slots.toSorted((a, b) => (a.fraction ?? 0) - (b.fraction ?? 0))[0];
  return behind === undefined || behind.text === '' ? 'waiting for new tasks' : behind.text;
}
