import { compareStates, holdsResources, type Node, type StoreEvent, type Task } from '@swarmd/model';

/**
 * Where a task stands for the scheduler: `pending` waits to be placed, `obsolete` is wanted shut down before it was,
 * `held` takes resources of its node.
 */
export type TaskPlace = 'none' | 'pending' | 'obsolete' | 'held';

/** See {@link TaskPlace}. */
export function placeOf(task: Task): TaskPlace {
  const { State } = task.Status;
  if (State === 'pending') {
    if (isActive(task)) return 'pending';
    return task.DesiredState === 'shutdown' ? 'obsolete' : 'none';
  }
  return holdsResources(State) && task.NodeID !== '' ? 'held' : 'none';
}

/** Whether a task is wanted to run or to complete: then it counts for spreading and replica limits. */
export function isActive(task: Task): boolean {
  return compareStates(task.DesiredState, 'complete') <= 0;
}

/** Whether the end of a task counts against its node. Global tasks (slot 0) were not put there by the scheduler. */
export function failedHere(task: Task): boolean {
  return (task.Status.State === 'failed' || task.Status.State === 'rejected') && task.Slot > 0 && task.NodeID !== '';
}

/** A task before and after an event. */
export function taskStates(event: Extract<StoreEvent, { table: 'task' }>): [Task | undefined, Task | undefined] {
  return event.kind === 'delete' ? [event.object, undefined] : [event.previous, event.object];
}

/**
 * Whether a node has said that it takes no part in overlay networks: by registering without a data path, as agents do
 * that have no swarmd-net, or have never heard of one. A node that has not registered yet has said nothing.
 */
export function lacksDataPath({ Session, DataPath }: Node): boolean {
  return Session !== undefined && DataPath === undefined;
}

/** Whether a change of a node can change what fits on it; heartbeats and sessions cannot. */
export function concernsPlacement(before: Node, after: Node): boolean {
  return (
    before.Spec !== after.Spec ||
    before.Description !== after.Description ||
    before.Status.State !== after.Status.State ||
    before.Status.Addr !== after.Status.Addr ||
    lacksDataPath(before) !== lacksDataPath(after)
  );
}
