import type { Call } from '../../src/histories/index.js';

/** An object as a machine would hold it: nothing about it is open. */
interface Held {
  id: string;
  version: number;
  value: string;
}

/**
 * Whether a few calls are linearizable, the dumb way: every order of every choice of the unknown ones, every version
 * and ID that an answer could mean. It shares no code with the checker.
 */
export function oracle(calls: readonly Call[]): boolean {
  const sure = calls.filter(({ answer }) => answer.kind !== 'unknown');
  const unknown = calls.filter(({ answer }) => answer.kind === 'unknown');
  return subsets(unknown).some((chosen) => orders([...sure, ...chosen]).some((order) => explains(order, calls)));
}

function explains(order: readonly Call[], all: readonly Call[]): boolean {
  for (let later = 0; later < order.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      if (order[later]!.returnedAt < order[earlier]!.invokedAt) return false;
    }
  }
  return replay(order, undefined, -1, namesOf(all));
}

/** Every ID and version that the calls speak of, and one that they do not. */
function namesOf(calls: readonly Call[]): { ids: string[]; versions: number[] } {
  const ids = new Set(['nobody-saw-it']);
  const versions = new Set<number>();
  for (const { action, answer } of calls) {
    for (const part of [action, answer]) {
      if ('id' in part) ids.add(part.id);
      if ('version' in part) versions.add(part.version);
    }
  }
  // Before, between and after what was seen there is room for what was not.
  const unseen = [0, ...versions].flatMap((version) => calls.map((_, index) => version + (index + 1) / 10));
  return { ids: [...ids], versions: [...versions, ...unseen] };
}

function replay(
  order: readonly Call[],
  held: Held | undefined,
  last: number,
  names: { ids: string[]; versions: number[] },
): boolean {
  const [call, ...rest] = order;
  if (call === undefined) return true;
  const { action, answer } = call;
  const go = (next: Held | undefined, version = last): boolean => replay(rest, next, version, names);
  const write = (ids: readonly string[], value: string): boolean =>
    ids.some((id) => names.versions.some((version) => version > last && go({ id, version, value }, version)));
  if (action.kind === 'read') {
    if (answer.kind === 'absent') return held === undefined && go(held);
    if (answer.kind !== 'found' || held === undefined) return false;
    const same = answer.id === held.id && answer.version === held.version && answer.value === held.value;
    return same && go(held);
  }
  if (action.kind === 'create') {
    if (answer.kind === 'exists') return held !== undefined && go(held);
    if (held !== undefined) return false;
    return write(answer.kind === 'created' ? [answer.id] : names.ids, action.value);
  }
  const here = held !== undefined && held.id === action.id;
  if (answer.kind === 'absent') return !here && go(held);
  if (!here) return false;
  if (action.kind === 'delete') return go(undefined);
  if (answer.kind === 'stale') return held.version !== action.version && go(held);
  return held.version === action.version && write([held.id], action.value);
}

function subsets<T>(list: readonly T[]): T[][] {
  const [first, ...rest] = list;
  if (first === undefined) return [[]];
  return subsets(rest).flatMap((some) => [some, [first, ...some]]);
}

function orders<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((item, index) =>
    orders(list.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}
