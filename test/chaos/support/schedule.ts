import type { Dice } from './dice.js';

/** What can be done to a host, and what it does to a manager there. */
export const FAULT_KINDS = {
  'kill-swarmd': { managersOnly: false, hurts: true, seconds: [0, 6] },
  'kill-etcd': { managersOnly: true, hurts: true, seconds: [1, 3] },
  'stop-swarmd': { managersOnly: false, hurts: true, seconds: [2, 10] },
  'stop-etcd': { managersOnly: true, hurts: true, seconds: [2, 10] },
  cut: { managersOnly: false, hurts: true, seconds: [2, 20] },
  'cut-pair': { managersOnly: false, hurts: true, seconds: [2, 15] },
  'cut-one-way': { managersOnly: false, hurts: true, seconds: [2, 15] },
  'disk-full': { managersOnly: false, hurts: true, seconds: [3, 12] },
  'disk-stalls': { managersOnly: false, hurts: true, seconds: [1, 8] },
  'disk-slow': { managersOnly: false, hurts: true, seconds: [4, 12] },
  clock: { managersOnly: false, hurts: false, seconds: [5, 20] },
  power: { managersOnly: false, hurts: true, seconds: [1, 12] },
  'kill-container': { managersOnly: false, hurts: false, seconds: [0, 0] },
} as const satisfies Record<string, { managersOnly: boolean; hurts: boolean; seconds: readonly [number, number] }>;

/** One of {@link FAULT_KINDS}. */
export type FaultKind = keyof typeof FAULT_KINDS;

/** One fault of a schedule; times are seconds from the beginning of the run. */
export interface PlannedFault {
  kind: FaultKind;
  host: string;
  /** The other host of a pair. */
  peer: string | undefined;
  from: number;
  to: number;
  /** How much of what the kind has: seconds that a clock is moved, milliseconds that a sync takes. */
  amount: number;
}

/** What a schedule is drawn for. */
export interface ScheduleOptions {
  dice: Dice;
  hosts: readonly { name: string; manager: boolean }[];
  kinds: readonly FaultKind[];
  seconds: number;
  /** How many managers may be hurt at the same time. */
  maxHurtManagers: number;
}

/** Seconds for which a host is left alone after a fault, at least. */
const REST_SECONDS = 2;

const CLOCK_JUMPS: readonly number[] = [-1_800, -90, -5, 5, 90, 1_800];
const SLOW_SYNC_MS: readonly number[] = [50, 200, 500];

/**
 * Draws faults that begin every few seconds: each host has one at a time, and no more than `maxHurtManagers` managers
 * are hurt at once. Kinds come in a shuffled order, each before any comes again, so that short runs miss little.
 */
export function planFaults(options: ScheduleOptions): PlannedFault[] {
  const { dice, seconds } = options;
  const planned: PlannedFault[] = [];
  const next = deck(options.kinds, dice);
  for (let at = 1; at < seconds; at += dice.int(1, 4)) {
    const kind = next();
    const free = options.hosts.filter((host) => canHave(kind, host, at, planned, options));
    if (free.length === 0) continue;
    const host = dice.pick(free);
    const others = options.hosts.filter(({ name }) => name !== host.name);
    const isPair = kind === 'cut-pair' || kind === 'cut-one-way';
    if (isPair && others.length === 0) continue;
    const [shortest, longest] = FAULT_KINDS[kind].seconds;
    const to = Math.min(at + dice.int(shortest, longest), seconds);
    const peer = isPair ? dice.pick(others).name : undefined;
    planned.push({ kind, host: host.name, peer, from: at, to, amount: amountOf(kind, dice) });
  }
  return planned;
}

/** A planned fault in a few words: `cut-pair h1 h2, 4–9 s`. */
export function describeFault({ kind, host, peer, from, to, amount }: PlannedFault): string {
  const unit = { clock: ' s', 'disk-slow': ' ms a sync' }[kind as string];
  const much = unit === undefined ? '' : ` by ${amount}${unit}`;
  return `${kind} ${host}${peer === undefined ? '' : ` ${peer}`}${much}, ${from}–${to} s`;
}

function canHave(
  kind: FaultKind,
  host: { name: string; manager: boolean },
  at: number,
  planned: readonly PlannedFault[],
  { hosts, maxHurtManagers }: ScheduleOptions,
): boolean {
  if (FAULT_KINDS[kind].managersOnly && !host.manager) return false;
  const going = planned.filter(({ to }) => to + REST_SECONDS > at);
  if (going.some((other) => other.host === host.name)) return false;
  if (!host.manager || !FAULT_KINDS[kind].hurts) return true;
  const managers = new Set(hosts.filter(({ manager }) => manager).map(({ name }) => name));
  const hurt = new Set(going.filter((other) => FAULT_KINDS[other.kind].hurts).map((other) => other.host));
  return [...hurt].filter((name) => managers.has(name)).length < maxHurtManagers;
}

function amountOf(kind: FaultKind, dice: Dice): number {
  if (kind === 'clock') return dice.pick(CLOCK_JUMPS);
  return kind === 'disk-slow' ? dice.pick(SLOW_SYNC_MS) : 0;
}

/** Deals the kinds in shuffled rounds. */
function deck(kinds: readonly FaultKind[], dice: Dice): () => FaultKind {
  let left: FaultKind[] = [];
  return () => {
    if (left.length === 0) left = [...kinds];
    const [kind] = left.splice(dice.int(0, left.length - 1), 1);
    return kind!;
  };
}
