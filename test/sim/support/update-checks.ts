import { durationMs, isTerminal, type ReadView, type Service, type Task, type UpdateStatus } from '@swarmd/model';
import { type CommitCheck, isLive, sameReplica } from './task-checks.js';

type State = UpdateStatus['State'] | 'none';

/** What may follow what, when not control but the updater writes. */
const NEXT: Readonly<Record<State, readonly State[]>> = {
  none: ['updating', 'rollback_started'],
  updating: ['completed', 'paused', 'rollback_started', 'none'],
  paused: ['none', 'rollback_started'],
  completed: ['updating', 'none', 'rollback_started'],
  rollback_started: ['rollback_completed', 'rollback_paused', 'none'],
  rollback_paused: ['none', 'rollback_started'],
  rollback_completed: ['updating', 'none', 'rollback_started'],
};

/** An update's status takes only steps that make sense. */
export const checkUpdateStatus: CommitCheck = ({ events }) => {
  const wrong: string[] = [];
  for (const event of events) {
    if (event.table !== 'service' || event.kind !== 'update') continue;
    const [before, after] = [stateOf(event.previous), stateOf(event.object)];
    if (before !== after && !NEXT[before].includes(after))
      wrong.push(`update of ${event.object.Spec.Name} went from ${before} to ${after}`);
  }
  return wrong;
};

function stateOf(service: Service | undefined): State {
  return service?.UpdateStatus?.State ?? 'none';
}

/**
 * An update touches only as many slots at a time as it may, holding each for its delay; and none while it is paused.
 * Where one clock says when a task came to run and another what time it is now, `skewMs` is how far they may differ.
 */
export function createParallelismCheck(skewMs: () => number = () => 0): CommitCheck {
  /** Tasks that updates have put in the place of others, by service. */
  const replacements = new Map<string, Set<string>>();
  return (commit, view) => {
    const wrong: string[] = [];
    const updated = new Map<string, Service>();
    for (const event of commit.events) {
      if (event.table !== 'task' || event.kind !== 'create') continue;
      const service = view.get('service', event.object.ServiceID);
      if (service === undefined || service.JobStatus !== undefined) continue;
      if (!replacesByUpdate(event.object, service, commit, view)) continue;
      const ids = replacements.get(service.ID) ?? new Set();
      replacements.set(service.ID, ids.add(event.object.ID));
      updated.set(service.ID, service);
    }
    for (const service of updated.values()) {
      const state = stateOf(service);
      if (state === 'paused' || state === 'rollback_paused') wrong.push(`${service.Spec.Name} went on while ${state}`);
      const { UpdateConfig, RollbackConfig } = service.Spec;
      const config = state === 'rollback_started' ? RollbackConfig : UpdateConfig;
      const parallelism = (config ? config.Parallelism : 1) || Number.POSITIVE_INFINITY;
      const nowMs = Date.parse(commit.events[0]!.object.UpdatedAt);
      const held = [...(replacements.get(service.ID) ?? [])]
        .map((id) => view.get('task', id))
        .filter((task) => task?.SpecVersion === service.SpecVersion)
        // Those of the update that this rolls back to are its own no more.
        .filter((task) => task!.CreatedAt >= (service.UpdateProgress?.StartedAt ?? ''))
        .filter((task) => holdsPlace(task!, nowMs, durationMs(config?.Delay, 0) - skewMs()));
      if (held.length > parallelism)
        wrong.push(
          `${service.Spec.Name} has ${held.length} slots in flight of ${parallelism}: ${held.map((t) => t!.ID)}`,
        );
    }
    return wrong;
  };
}

function holdsPlace(task: Task, nowMs: number, delayMs: number): boolean {
  const { RunningAt, State } = task.Status;
  if (RunningAt !== undefined) {
    const ranMs = nowMs - Date.parse(RunningAt);
    // A wait longer than the whole delay counts as over: another manager's clock was ahead.
    return isLive(task) && ranMs >= 0 && ranMs < delayMs;
  }
  return isLive(task) && !isTerminal(State);
}

/** Whether `task` stands in for a healthy one of an older spec: not for one that ended or had to leave its node. */
function replacesByUpdate(
  task: Task,
  service: Service,
  { events }: Parameters<CommitCheck>[0],
  view: ReadView,
): boolean {
  const same = sameReplica(service, task);
  const before = new Map<string, Task>();
  for (const event of events)
    if (event.table === 'task' && event.previous !== undefined) before.set(event.object.ID, event.previous);
  const siblings = [...view.find('task', 'service', service.ID)].filter((other) => other.ID !== task.ID && same(other));
  // Where the new spec has been tried before, this is another try.
  const tried = (other: Task): boolean =>
    other.SpecVersion === task.SpecVersion && (isTerminal(other.Status.State) || !isLive(other));
  if (siblings.some(tried)) return false;
  for (const other of siblings) {
    const was = before.get(other.ID) ?? other;
    if (!isLive(was) || was.SpecVersion === task.SpecVersion) continue;
    const node = view.get('node', other.NodeID);
    const lost = !node || node.Status.State === 'down' || node.Spec.Availability === 'drain';
    const leaves = other.RejectedAt !== undefined || (other.NodeID !== '' && lost);
    if (!leaves && !isTerminal(was.Status.State)) return true;
  }
  return false;
}
