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
  'cut-managers': { managersOnly: true, hurts: true, seconds: [2, 15] },
  'cut-agents': { managersOnly: true, hurts: true, seconds: [2, 15] },
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
  /** Whether it is to hit the manager that leads when it begins, if that one is well; `host` otherwise. */
  atLeader: boolean;
  /** The hosts that it is cut off from, for cuts of some lines only. */
  peers: readonly string[];
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

const CLOCK_JUMPS: readonly number[] = [-3_600, -90, -5, 5, 90, 3_600];
const SLOW_SYNC_MS: readonly number[] = [50, 200, 500];

/**
 * Draws faults that begin every few seconds: each host has one at a time, and no more than `maxHurtManagers` managers
 * are hurt at once. Kinds come in a shuffled order, each before any comes again; what has no place yet comes as soon as
 * it has one.
 */
export function planFaults(options: ScheduleOptions): PlannedFault[] {
  const { dice, seconds } = options;
  const planned: PlannedFault[] = [];
  const isManager = new Set(options.hosts.filter(({ manager }) => manager).map(({ name }) => name));
  const next = deck(options.kinds, dice);
  for (let at = 1; at < seconds; at += dice.int(1, 4)) {
    const fits = (kind: FaultKind): boolean => freeHosts(kind, at, planned, options).length > 0;
    const kind = next(fits);
    if (kind === undefined) continue;
    const host = dice.pick(freeHosts(kind, at, planned, options));
    const [shortest, longest] = FAULT_KINDS[kind].seconds;
    const to = Math.min(at + dice.int(shortest, longest), seconds);
    // Every second one: a follower's loss is another thing than the leader's.
    const atLeader = host.manager && planned.filter((other) => isManager.has(other.host)).length % 2 === 0;
    const peers = peersOf(kind, host.name, options);
    planned.push({ kind, host: host.name, atLeader, peers, from: at, to, amount: amountOf(kind, dice) });
  }
  return planned;
}

/** A planned fault in a few words: `cut-pair h1 h2, 4–9 s`. */
export function describeFault({ kind, host, peers, from, to, amount }: PlannedFault): string {
  const unit = { clock: ' s', 'disk-slow': ' ms a sync' }[kind as string];
  const much = unit === undefined ? '' : ` by ${amount}${unit}`;
  return `${[kind, host, ...peers].join(' ')}${much}, ${from}–${to} s`;
}

/** The hosts that a fault of that kind may begin on. */
function freeHosts(
  kind: FaultKind,
  at: number,
  planned: readonly PlannedFault[],
  { hosts, maxHurtManagers }: ScheduleOptions,
): ScheduleOptions['hosts'] {
  const going = planned.filter(({ to }) => to + REST_SECONDS > at);
  const hurt = new Set(going.filter((other) => FAULT_KINDS[other.kind].hurts).map((other) => other.host));
  const hurtManagers = hosts.filter(({ name, manager }) => manager && hurt.has(name)).length;
  return hosts.filter(({ name, manager }) => {
    if (FAULT_KINDS[kind].managersOnly && !manager) return false;
    if (going.some(({ host }) => host === name)) return false;
    return !manager || !FAULT_KINDS[kind].hurts || hurtManagers < maxHurtManagers;
  });
}

function peersOf(kind: FaultKind, host: string, { hosts, dice }: ScheduleOptions): string[] {
  const others = hosts.filter(({ name }) => name !== host);
  const some = { 'cut-managers': true, 'cut-agents': false }[kind as string];
  if (some !== undefined) return others.filter(({ manager }) => manager === some).map(({ name }) => name);
  return kind === 'cut-pair' || kind === 'cut-one-way' ? [dice.pick(others).name] : [];
}

function amountOf(kind: FaultKind, dice: Dice): number {
  if (kind === 'clock') return dice.pick(CLOCK_JUMPS);
  return kind === 'disk-slow' ? dice.pick(SLOW_SYNC_MS) : 0;
}

/** Deals the kinds in shuffled rounds, of those that are left in a round the first that fits; undefined when none does. */
function deck(kinds: readonly FaultKind[], dice: Dice): (fits: (kind: FaultKind) => boolean) => FaultKind | undefined {
  let left: FaultKind[] = [];
  const shuffled = (): FaultKind[] => {
    const rest = [...kinds];
    return kinds.map(() => rest.splice(dice.int(0, rest.length - 1), 1)[0]!);
  };
  return (fits) => {
    if (left.length === 0) left = shuffled();
    const index = left.findIndex(fits);
    return index < 0 ? undefined : left.splice(index, 1)[0];
  };
}
