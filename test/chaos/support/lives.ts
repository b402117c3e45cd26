/** One container of the cluster, while it ran; times are seconds of one clock. */
export interface Life {
  container: string;
  host: string;
  service: string;
  /** `service.slot` or, for global services, `service.node`. */
  slot: string;
  task: string;
  from: number;
  /** Infinity while it runs. */
  to: number;
}

/** Whether a host may run what it should not at that time, since the managers could not reach it. */
export type Excused = (host: string, at: number) => boolean;

/**
 * What ran that should not have, in words. `allowed` says how many containers a slot of a service may have at a time:
 * those on excused hosts do not count, but one task never has two containers, at no time.
 */
export function judgeLives(lives: readonly Life[], allowed: (service: string) => number, excused: Excused): string[] {
  const problems: string[] = [];
  for (const [task, own] of groupBy(lives, ({ task }) => task)) {
    const containers = new Set(own.map(({ container }) => container));
    if (containers.size > 1) problems.push(`task ${task} had ${containers.size} containers: ${describe(own)}`);
  }
  for (const [slot, own] of groupBy(lives, ({ slot }) => slot)) {
    const most = allowed(own[0]!.service);
    // The number of containers rises where one starts, and where a host is not excused any more, which is looked at in
    // steps: what stays beyond that is found.
    const moments = own.flatMap(({ from, to }) => [from, ...stepsOf(from, to)]).sort((a, b) => a - b);
    for (const at of moments) {
      const running = own.filter((life) => life.from <= at && at < life.to && !excused(life.host, at));
      if (running.length <= most) continue;
      problems.push(`slot ${slot} ran ${running.length} times at ${at.toFixed(2)} s: ${describe(running)}`);
      break;
    }
  }
  return problems;
}

const STEP_SECONDS = 1;
/** Longer than any run: bounds what an open end makes. */
const MAX_STEPS = 20_000;

function stepsOf(from: number, to: number): number[] {
  const last = Number.isFinite(to) ? to : from;
  const count = Math.min(MAX_STEPS, Math.max(0, Math.floor((last - from) / STEP_SECONDS)));
  return Array.from({ length: count }, (_, index) => from + (index + 1) * STEP_SECONDS);
}

function describe(lives: readonly Life[]): string {
  return lives
    .map(({ host, task, container, from, to }) => {
      const until = Number.isFinite(to) ? `${to.toFixed(2)} s` : 'the end';
      return `${task.slice(0, 6)} in ${container.slice(0, 6)} on ${host} from ${from.toFixed(2)} to ${until}`;
    })
    .join(', ');
}

function groupBy<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
