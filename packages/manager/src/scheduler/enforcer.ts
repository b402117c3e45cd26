import { compareStates, holdsResources, type Node, type Task } from '@swarmd/model';
import { type Constraint, nodeMatches } from './constraint.js';
import { countGeneric, emptyUse, readOffers, stillOffered } from './generic.js';
import type { Needs } from './needs.js';

/** A task on a node. */
export interface AssignedTask {
  task: Task;
  /** What the task was started with. */
  needs: Needs;
  /**
   * Those of its service as it is now; of the task itself when the service is gone. (An update that only changes
   * placement leaves tasks where they may stay, with their old spec.)
   */
  constraints: readonly Constraint[];
}

/**
 * The tasks on `node` that have no right to be there any more, by ID: the node does not match the constraints of the
 * service as it is now, or offers too little for all reservations. Then the largest reservations go first (fewest tasks
 * move), the youngest of equals. Those that leave already count no more. Nodes that are paused or drained are left alone:
 * the orchestrator sees to those.
 */
export function tasksToReject(node: Node, assigned: readonly AssignedTask[]): string[] {
  if (node.Spec.Availability !== 'active') return [];
  const present = assigned.filter(({ task }) => isEnforced(task));
  const matching = present.filter(({ constraints }) => nodeMatches(constraints, node));
  const misplaced = present.filter((entry) => !matching.includes(entry));
  return [...misplaced.map(({ task }) => task.ID), ...overCommitted(node, matching)].sort();
}

function isEnforced(task: Task): boolean {
  if (task.RejectedAt !== undefined) return false;
  const wanted = compareStates(task.DesiredState, 'assigned') >= 0 && compareStates(task.DesiredState, 'complete') <= 0;
  return wanted && holdsResources(task.Status.State);
}

function overCommitted(node: Node, tasks: readonly AssignedTask[]): string[] {
  const resources = node.Description?.Resources;
  const offers = readOffers(resources?.GenericResources);
  const use = emptyUse();
  let nanoCpus = resources?.NanoCPUs ?? 0;
  let memoryBytes = resources?.MemoryBytes ?? 0;
  const victims: string[] = [];
  for (const { task, needs } of [...tasks].sort(leastFirst(nanoCpus, memoryBytes))) {
    const given = task.AssignedGenericResources ?? [];
    const reserves = needs.nanoCpus > 0 || needs.memoryBytes > 0;
    if (
      (reserves && (needs.nanoCpus > nanoCpus || needs.memoryBytes > memoryBytes)) ||
      !stillOffered(offers, use, given)
    ) {
      victims.push(task.ID);
      continue;
    }
    nanoCpus -= needs.nanoCpus;
    memoryBytes -= needs.memoryBytes;
    countGeneric(use, given, 1);
  }
  return victims;
}

/** By the larger of the two shares of the node that a task reserves, then age, then ID. */
function leastFirst(nanoCpus: number, memoryBytes: number): (a: AssignedTask, b: AssignedTask) => number {
  const share = ({ needs }: AssignedTask): number =>
    Math.max(needs.nanoCpus / Math.max(1, nanoCpus), needs.memoryBytes / Math.max(1, memoryBytes));
  return (a, b) => {
    const difference = share(a) - share(b);
    if (difference !== 0) return difference;
    if (a.task.CreatedAt !== b.task.CreatedAt) return a.task.CreatedAt < b.task.CreatedAt ? -1 : 1;
    return a.task.ID < b.task.ID ? -1 : 1;
  };
}
