import { compareStates, type Node, type Service, type Task, type TaskSpec } from '@swarmd/model';

/** All that a pass over one service decides from: plain data of one moment. */
export interface Observed {
  service: Service;
  tasks: readonly Task[];
  node(id: string): Node | undefined;
  /** Every node; asked for by global services only. */
  nodes(): Iterable<Node>;
  /** The task template of an older version of the service's spec; `undefined` when it is not kept any more. */
  taskSpecOf(specVersion: number): VersionedSpec | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What of a spec version its tasks are made of. */
export interface VersionedSpec {
  taskSpec: TaskSpec | undefined;
  endpointSpec: unknown;
}

/** The tasks that share a slot (or, for global services, a node), oldest first. */
export interface Slot {
  /** Slot number, or node ID. */
  key: number | string;
  tasks: Task[];
  /** Those wanted to run or to get ready to. */
  live: Task[];
}

/** Whether a task is wanted: its desired state is not past running. (`complete` is what a job's task is wanted to reach.) */
export function isLive(task: Task): boolean {
  return compareStates(task.DesiredState, 'complete') <= 0;
}

/** Groups tasks by `keyOf`, oldest first within a slot. Tasks desired `remove` are on their way out and left aside. */
export function groupSlots(tasks: Iterable<Task>, keyOf: (task: Task) => number | string): Map<number | string, Slot> {
  const slots = new Map<number | string, Slot>();
  for (const task of tasks) {
    if (task.DesiredState === 'remove') continue;
    const key = keyOf(task);
    const slot = slots.get(key);
    if (slot === undefined) slots.set(key, { key, tasks: [task], live: isLive(task) ? [task] : [] });
    else {
      slot.tasks.push(task);
      if (isLive(task)) slot.live.push(task);
    }
  }
  for (const slot of slots.values()) {
    if (slot.tasks.length > 1) slot.tasks.sort(byAge);
    if (slot.live.length > 1) slot.live.sort(byAge);
  }
  return slots;
}

/** Orders tasks by their creation, oldest first. */
export function byAge(a: Task, b: Task): number {
  if (a.CreatedAt !== b.CreatedAt) return a.CreatedAt < b.CreatedAt ? -1 : 1;
  return a.ID < b.ID ? -1 : 1;
}

/** Whether a task can be where it is no longer: its node can keep no tasks, or does not suit it any more. */
export function isEvicted(task: Task, observed: Pick<Observed, 'node'>): boolean {
  return task.RejectedAt !== undefined || (task.NodeID !== '' && mustLeave(observed.node(task.NodeID)));
}

/** Whether tasks may not stay on a node: it is gone, known to be down, or drained. Unknown nodes get their grace. */
export function mustLeave(node: Node | undefined): boolean {
  return node === undefined || node.Status.State === 'down' || node.Spec.Availability === 'drain';
}

/** Whether nothing more can be heard of a task on this node, so that waiting for its end is pointless. */
export function isLost(node: Node | undefined): boolean {
  return node === undefined || node.Status.State === 'down';
}
