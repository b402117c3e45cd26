import { isTerminal, TASK_STATES, type TaskState } from '@swarmd/model';
import type { ApiService, ApiTask } from '../client/api-types.js';
import { shortId } from '../output/list.js';

/** States on the way to running, for the bars; a job's tasks go one further. */
const STEPS: readonly string[] = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
];
/** More tasks than this get no line of their own. */
const MAX_TASK_LINES = 20;
const MAX_ERROR_LENGTH = 75;

/** One line of progress: what it is about, what is said, and how far it is (0 to 1) if that can be drawn. */
export interface ProgressLine {
  readonly id: string;
  readonly text: string;
  readonly fraction?: number;
}

/** How far a service is. */
export interface ServiceProgress {
  readonly done: number;
  readonly wanted: number;
  readonly converged: boolean;
  /**
   * Set when tasks ended by themselves and, as far as up-to-date tasks tell, nothing is under way any more: it may never
   * converge. Tasks of other specs may still be in those slots: see {@link isOvertaken}.
   */
  readonly hopeless: boolean;
  /** The service as a whole. */
  readonly overall: ProgressLine;
  /** Its slots, in their order. */
  readonly slots: readonly ProgressLine[];
}

/** The lines to show: of many slots none. */
export function progressLines({ overall, slots }: ServiceProgress): ProgressLine[] {
  return slots.length > MAX_TASK_LINES ? [overall] : [overall, ...slots];
}

interface Slot {
  readonly id: string;
  /** The task that stands for the slot; none when it waits for one. */
  readonly task: ApiTask | undefined;
  /** Its newest task ended by itself, and no other one is wanted or still there. */
  readonly givenUp: boolean;
}

/**
 * How far a service is, from its up-to-date tasks (filter `_up-to-date`) and the IDs of nodes that are not down.
 * `rollback` only changes the words. Source: docker CLI, `service/progress`.
 */
export function serviceProgress(
  service: ApiService,
  tasks: readonly ApiTask[],
  activeNodes: ReadonlySet<string>,
  rollback: boolean,
): ServiceProgress {
  const { Global, GlobalJob, ReplicatedJob } = service.Spec.Mode ?? {};
  const isJob = GlobalJob != null || ReplicatedJob != null;
  const current = isJob ? tasks.filter((task) => iteration(task) === iterationOf(service)) : tasks;
  const slots = Global != null || GlobalJob != null ? nodeSlots(current) : replicaSlots(service, current);
  const goal = isJob ? 'complete' : 'running';
  const isDone = ({ task }: Slot): boolean => {
    if (task === undefined || task.Status.State !== goal) return false;
    return isJob || (!isTerminal(task.DesiredState as TaskState) && isActive(task, activeNodes));
  };
  const done = slots.filter(isDone).length;
  const waitsForTasks = (Global != null || GlobalJob != null) && slots.length === 0;
  const wanted = slots.length;
  const stuck = slots.filter((slot) => slot.givenUp && !isDone(slot)).length;
  return {
    done,
    wanted,
    converged: !waitsForTasks && done === wanted,
    hopeless: stuck > 0 && done + stuck === wanted,
    overall: overallLine(done, wanted, { rollback, waitsForTasks }),
    slots: slots.map((slot) => slotLine(slot, isJob)),
  };
}

/**
 * Whether slots whose up-to-date tasks have ended hold, or were last given, other tasks: an update or rollback is on its
 * way or about to begin, and will replace them. `all` are all tasks of the service.
 */
export function isOvertaken(service: ApiService, upToDate: readonly ApiTask[], all: readonly ApiTask[]): boolean {
  const ids = new Set(upToDate.map(({ ID }) => ID));
  const newest = new Map<string | number, number>();
  const { Global, GlobalJob } = service.Spec.Mode ?? {};
  const keyOf = (task: ApiTask): string | number =>
    Global != null || GlobalJob != null ? (task.NodeID ?? '') : (task.Slot ?? 0);
  for (const task of upToDate) newest.set(keyOf(task), Math.max(newest.get(keyOf(task)) ?? 0, createdMs(task)));
  return all.some(
    (task) =>
      !ids.has(task.ID) && (isWanted(task) || createdMs(task) > (newest.get(keyOf(task)) ?? Number.POSITIVE_INFINITY)),
  );
}

function overallLine(
  done: number,
  wanted: number,
  { rollback, waitsForTasks }: { rollback: boolean; waitsForTasks: boolean },
): ProgressLine {
  const counts = `${done} out of ${wanted} tasks`;
  const text = waitsForTasks ? 'waiting for new tasks' : rollback ? `rolling back update: ${counts}` : counts;
  return { id: 'overall progress', text };
}

function slotLine({ id, task }: Slot, isJob: boolean): ProgressLine {
  if (task === undefined) return { id, text: '' };
  const { State, Err = '' } = task.Status;
  if (Err !== '') return { id, text: shorten(Err) };
  const steps = isJob ? [...STEPS, 'complete'] : STEPS;
  const step = steps.indexOf(State);
  return step === -1 ? { id, text: State } : { id, text: State, fraction: (step + 1) / steps.length };
}

function shorten(error: string): string {
  const line = error.replaceAll('\n', ' ');
  return line.length > MAX_ERROR_LENGTH ? `${line.slice(0, MAX_ERROR_LENGTH - 1)}…` : line;
}

function iteration(task: ApiTask): number {
  return task.JobIteration?.Index ?? 0;
}

function iterationOf(service: ApiService): number {
  return service.JobStatus?.JobIteration.Index ?? 0;
}

function isActive(task: ApiTask, activeNodes: ReadonlySet<string>): boolean {
  return (task.NodeID ?? '') === '' || activeNodes.has(task.NodeID!);
}

function groupBy<K>(tasks: readonly ApiTask[], key: (task: ApiTask) => K): Map<K, ApiTask[]> {
  const groups = new Map<K, ApiTask[]>();
  for (const task of tasks) groups.set(key(task), [...(groups.get(key(task)) ?? []), task]);
  return groups;
}

function replicaSlots(service: ApiService, tasks: readonly ApiTask[]): Slot[] {
  const { Replicated, ReplicatedJob } = service.Spec.Mode ?? {};
  const replicas = ReplicatedJob != null ? (ReplicatedJob.TotalCompletions ?? 1) : (Replicated?.Replicas ?? 1);
  const present = [...groupBy(tasks, (task) => task.Slot ?? 0)]
    .map(([number, ofSlot]) => ({ number, ...representative(ofSlot) }))
    .filter(counts)
    // Those of an earlier scale that ended must not take the place of others that are wanted.
    .toSorted((a, b) => Number(a.givenUp) - Number(b.givenUp) || a.number - b.number)
    .slice(0, replicas)
    .toSorted((a, b) => a.number - b.number);
  return Array.from({ length: replicas }, (_, index) => {
    const { task, givenUp = false } = present[index] ?? {};
    return { id: `${index + 1}/${replicas}`, task, givenUp };
  });
}

function nodeSlots(tasks: readonly ApiTask[]): Slot[] {
  return [...groupBy(tasks, (task) => task.NodeID ?? '')]
    .map(([node, ofNode]) => ({ id: shortId(node), ...representative(ofNode) }))
    .filter(counts)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

const order = (state: string): number => TASK_STATES.indexOf(state as TaskState);
const createdMs = (task: ApiTask): number => Date.parse(task.CreatedAt);

/** Whether a task is to run, or to complete. */
function isWanted({ DesiredState }: ApiTask): boolean {
  return order(DesiredState) <= order('complete');
}

/** Whether a task ended without having been told to. */
function endedByItself({ Status }: ApiTask): boolean {
  return ['complete', 'failed', 'rejected'].includes(Status.State);
}

/** Whether a slot counts by its tasks: tasks that were told to end say nothing of what is wanted now. */
function counts({ task, givenUp }: Pick<Slot, 'task' | 'givenUp'>): boolean {
  return task !== undefined && (isWanted(task) || givenUp);
}

/** Of the tasks of one slot the one with the lowest desired state, of equals the one that is furthest. */
function representative(tasks: readonly ApiTask[]): Omit<Slot, 'id'> {
  const task = tasks.toSorted(
    (a, b) => order(a.DesiredState) - order(b.DesiredState) || order(b.Status.State) - order(a.Status.State),
  )[0];
  const newest = tasks.toSorted((a, b) => createdMs(b) - createdMs(a))[0];
  const isOver = tasks.every((one) => !isWanted(one) && isTerminal(one.Status.State as TaskState));
  return { task, givenUp: isOver && newest !== undefined && endedByItself(newest) };
}
