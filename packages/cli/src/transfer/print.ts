import { formatChange } from './compare.js';
import type { PlanItem, Verdict } from './plan-item.js';

const SIGNS: Readonly<Record<Verdict, string>> = {
  create: '+',
  update: '~',
  same: '=',
  cannot: '!',
  absent: ' ',
  remove: '-',
};

const WORDS: Readonly<Record<Verdict, string>> = {
  create: 'create',
  update: 'update',
  same: 'exists, same',
  cannot: 'cannot',
  absent: 'not here, nothing to carry over',
  remove: 'remove',
};

/** A plan as people read it: a line an object, what is different of it below. */
export function formatPlan(items: readonly PlanItem[]): string {
  const width = Math.max(0, ...items.map(({ name }) => name.length));
  return items.map((item) => formatItem(item, width)).join('');
}

function formatItem({ kind, name, verdict, reason, changes, notes }: PlanItem, width: number): string {
  const said = reason === undefined ? WORDS[verdict] : `${WORDS[verdict]}: ${reason}`;
  const below = [...changes.map(formatChange), ...notes.map((note) => `note: ${note}`)];
  const lines = [
    `${SIGNS[verdict]} ${kind.padEnd(7)} ${name.padEnd(width)}  ${said}`,
    ...below.map((line) => `    ${line}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** What a plan comes to, in a sentence. */
export function summarise(items: readonly PlanItem[]): string {
  const count = (verdict: Verdict): number => items.filter((item) => item.verdict === verdict).length;
  const parts = [
    `${count('create')} to create`,
    `${count('update')} to update`,
    ...(count('remove') > 0 ? [`${count('remove')} to remove`] : []),
    `${count('same')} the same`,
    ...(count('cannot') > 0 ? [`${count('cannot')} that cannot be made or changed`] : []),
  ];
  return `${parts.join(', ')}.`;
}
