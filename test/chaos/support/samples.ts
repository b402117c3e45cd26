/** A running container of the cluster, by its labels. */
export interface Running {
  container: string;
  host: string;
  service: string;
  /** `service.slot` or, for global services, `service.node`. */
  slot: string;
  task: string;
}

/** What all engines said in one look. */
export interface Sweep {
  /** Seconds since the beginning of the run at which the look began. */
  at: number;
  running: readonly Running[];
}

/** Whether a host may hold what it should not at that time, since the managers could not reach it. */
export type Excused = (host: string, at: number) => boolean;

/**
 * What must not be in two successive looks, in words. A look takes a while, and a container may have moved on meanwhile;
 * but one that runs in both of two looks has run all the time in between. `allowed` says how many containers a slot of
 * a service may have at a time; containers on excused hosts do not count, but one task never has two.
 */
export function judgeSweeps(
  before: Sweep,
  after: Sweep,
  allowed: (service: string) => number,
  excused: Excused,
): string[] {
  const still = new Set(after.running.map(({ container }) => container));
  const stayed = before.running.filter(({ container }) => still.has(container));
  const problems: string[] = [];
  const at = `at ${after.at.toFixed(1)} s`;
  for (const [task, list] of groupBy(stayed, ({ task }) => task)) {
    if (list.length > 1) problems.push(`${at} task ${task} runs in ${list.length} containers: ${places(list)}`);
  }
  const counted = stayed.filter(({ host }) => !excused(host, before.at) && !excused(host, after.at));
  for (const [slot, list] of groupBy(counted, ({ slot }) => slot)) {
    if (list.length > allowed(list[0]!.service))
      problems.push(`${at} slot ${slot} runs ${list.length} times: ${places(list)}`);
  }
  return problems;
}

function places(list: readonly Running[]): string {
  return list
    .map(({ host, task, container }) => `${task.slice(0, 6)} in ${container.slice(0, 6)} on ${host}`)
    .join(', ');
}

function groupBy<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
