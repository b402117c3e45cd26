import type { ClusterMirror } from './mirror.js';
import { type Decision, placeGroup, placePreassigned } from './place-group.js';

/** Nodes with preassigned tasks that are looked at in one step. */
const NODES_PER_STEP = 512;
/** Judgements of nodes by small groups that make one step. */
const JUDGEMENTS_PER_STEP = 4_096;

/**
 * One pass over all that is worth trying, in steps. Tasks that were given a node by their orchestrator come first:
 * they can go nowhere else. Decisions go to `decide` and count in the mirror at once.
 */
export function* planPass(
  mirror: ClusterMirror,
  now: number,
  decide: (decision: Decision) => void,
): Generator<void, void, void> {
  const work = mirror.pending.takeWork();
  for (const task of work.obsolete) decide({ kind: 'end', taskId: task.ID });
  let nodes = 0;
  for (const nodeId of work.nodes) {
    placePreassigned(mirror, nodeId, decide);
    if (++nodes % NODES_PER_STEP === 0) yield;
  }
  let judgements = 0;
  for (const group of work.groups) {
    if (group.tasks.size === 0) continue;
    judgements += mirror.order.list().length + group.tasks.size;
    yield* placeGroup(mirror, group, now, decide);
    if (judgements < JUDGEMENTS_PER_STEP) continue;
    judgements = 0;
    yield;
  }
  mirror.pending.settle();
}
