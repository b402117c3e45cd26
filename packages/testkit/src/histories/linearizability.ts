import { type Call, describeCall } from './call.js';
import { absentRegister, applyCall, type Register } from './register.js';

/** Bounds and beginning of a check. */
export interface CheckOptions {
  /** What a key holds before the first call; absent unless told. */
  initial?: ReadonlyMap<string, Register>;
  /** More possible pasts than this at one time, and the check of that key gives up; 200,000 unless told. */
  maxPasts?: number;
}

/** What became of the check of one key. */
export type Verdict =
  | { kind: 'linearizable'; key: string; calls: number }
  /** No order of the calls explains the answer of `call`; `report` says so for people. */
  | { kind: 'violation'; key: string; call: Call; report: string }
  /** Too many possible pasts: neither proved nor refuted. */
  | { kind: 'undecided'; key: string; call: Call };

/** One way in which everything answered so far may have happened. */
interface Past {
  register: Register;
  /** Calls that are still open for the check but have taken effect in this past, by number. */
  done: readonly number[];
}

const DEFAULT_MAX_PASTS = 200_000;
const REPORTED_CALLS = 24;

/** Checks every key of a history by itself: it is linearizable if, and only if, each key is (Herlihy and Wing). */
export function checkHistory(calls: readonly Call[], options: CheckOptions = {}): Verdict[] {
  const byKey = new Map<string, Call[]>();
  for (const call of calls) {
    const list = byKey.get(call.key);
    if (list === undefined) byKey.set(call.key, [call]);
    else list.push(call);
  }
  return [...byKey].map(([key, list]) => checkKey(key, list, options));
}

/**
 * Wing and Gong's search in Lowe's form: goes through invocations and returns in the order of time with the set of all
 * pasts that are still possible. Where a call returns, each past must have it taken effect by then, if need be after
 * other open calls; pasts that come to the same are one. A call with an unknown answer stays open to the end.
 */
export function checkKey(key: string, calls: readonly Call[], options: CheckOptions = {}): Verdict {
  const maxPasts = options.maxPasts ?? DEFAULT_MAX_PASTS;
  const open = new Set<number>();
  let pasts: Past[] = [{ register: options.initial?.get(key) ?? absentRegister, done: [] }];
  for (const { number, returns } of eventsOf(calls)) {
    if (!returns) {
      open.add(number);
      continue;
    }
    const next = settle(pasts, calls, open, number, maxPasts);
    const call = calls[number]!;
    if (next === undefined) return { kind: 'undecided', key, call };
    if (next.length === 0) return { kind: 'violation', key, call, report: explain(calls, call, pasts) };
    open.delete(number);
    pasts = next;
  }
  return { kind: 'linearizable', key, calls: calls.length };
}

/** At equal times an invocation comes first: the two calls then count as overlapping, which accuses nobody. */
function eventsOf(calls: readonly Call[]): { number: number; returns: boolean }[] {
  const events = calls.flatMap(({ invokedAt, returnedAt, answer }, number) => [
    { number, returns: false, at: invokedAt },
    ...(answer.kind === 'unknown' ? [] : [{ number, returns: true, at: returnedAt }]),
  ]);
  return events.sort((a, b) => a.at - b.at || Number(a.returns) - Number(b.returns));
}

/** All pasts in which the call has taken effect, without it among their open ones; undefined beyond the bound. */
function settle(
  pasts: readonly Past[],
  calls: readonly Call[],
  open: ReadonlySet<number>,
  returning: number,
  maxPasts: number,
): Past[] | undefined {
  const settled = new Map<string, Past>();
  const seen = new Set<string>();
  const stack = [...pasts];
  for (let past = stack.pop(); past !== undefined; past = stack.pop()) {
    if (past.done.includes(returning)) {
      const without = { register: past.register, done: past.done.filter((number) => number !== returning) };
      settled.set(keyOf(without), without);
      continue;
    }
    for (const number of open) {
      if (past.done.includes(number)) continue;
      const { action, answer } = calls[number]!;
      const register = applyCall(past.register, action, answer);
      if (register === undefined) continue;
      const next = { register, done: [...past.done, number].sort((a, b) => a - b) };
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > maxPasts) return undefined;
      stack.push(next);
    }
  }
  return [...settled.values()];
}

function keyOf({ register, done }: Past): string {
  const { present, id, version, value, floor, not } = register;
  return JSON.stringify([present, id ?? null, version ?? null, value ?? null, floor, not, done]);
}

function explain(calls: readonly Call[], call: Call, pasts: readonly Past[]): string {
  const until = calls.filter(({ invokedAt }) => invokedAt <= call.returnedAt);
  const shown = until.sort((a, b) => a.returnedAt - b.returnedAt || a.invokedAt - b.invokedAt);
  // Unknown ones, which sort last, and the latest answers; older ones say nothing about this one.
  const lines = shown.slice(-REPORTED_CALLS).map((each) => `${each === call ? '> ' : '  '}${describeCall(each)}`);
  const states = [...new Set(pasts.map(({ register }) => describeRegister(register)))].slice(0, 8);
  return [`nothing explains: ${describeCall(call)}`, 'before it, the object was', ...states, 'calls:', ...lines].join(
    '\n',
  );
}

function describeRegister({ present, id, version, value, floor }: Register): string {
  if (!present) return `  absent, last version at least ${floor}`;
  const at = version === undefined ? `a version above ${floor}` : `version ${version}`;
  return `  ${id?.slice(0, 6) ?? 'some ID'} at ${at} with "${value}"`;
}
