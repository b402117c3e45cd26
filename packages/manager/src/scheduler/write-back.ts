import { compareStates, isOnOverlay, type Task, type TaskStatus, type WriteTx } from '@swarmd/model';
import type { Decision } from './place-group.js';
import { lacksDataPath } from './task-place.js';

type Assignment = Extract<Decision, { kind: 'assign' }>;

/** What became of a batch: assignments that no longer held, and the index up to which the transaction had seen. */
export interface WriteResult {
  refused: Assignment[];
  seenIndex: number;
}

/**
 * Writes decisions, each only if it still holds: the task waits as it did, and the node is the one that was judged,
 * ready and active.
 */
export function writeDecisions(tx: WriteTx, decisions: readonly Decision[]): WriteResult {
  const refused: Assignment[] = [];
  const assigned = statusAt(tx.now, 'assigned', 'scheduler assigned task to node');
  const confirmed = statusAt(tx.now, 'assigned', 'scheduler confirmed task can run on preassigned node');
  const ended = statusAt(tx.now, 'shutdown', 'task was shut down before it was given a node');
  for (const decision of decisions) {
    const task = tx.get('task', decision.taskId);
    if (decision.kind === 'assign') {
      if (task === undefined || !stillHolds(tx, task, decision)) refused.push(decision);
      else assign(tx, task, decision, decision.preassigned ? confirmed : assigned);
    } else if (task !== undefined && task.Status.State === 'pending') {
      if (decision.kind === 'explain') explain(tx, task, decision.reason);
      else if (task.DesiredState === 'shutdown') tx.put('task', { ...task, Status: ended });
    }
  }
  return { refused, seenIndex: tx.index - 1 };
}

/** One object for all tasks of a batch: it is never changed, and a million tasks need it once. */
function statusAt(now: string, State: TaskStatus['State'], Message: string): TaskStatus {
  return Object.freeze({ Timestamp: now, State, Message, AppliedAt: now });
}

function stillHolds(tx: WriteTx, task: Task, { hold, node: judged, preassigned }: Assignment): boolean {
  if (task.Status.State !== 'pending' || compareStates(task.DesiredState, 'complete') > 0) return false;
  if (task.NodeID !== (preassigned ? hold.node.id : '')) return false;
  const node = tx.get('node', hold.node.id);
  if (node === judged) return node !== undefined;
  if (node !== undefined && lacksDataPath(node) && isOnOverlay(task.NetworksAttachments)) return false;
  return node?.Status.State === 'ready' && node.Spec === judged?.Spec && node.Description === judged.Description;
}

function assign(tx: WriteTx, task: Task, { hold }: Assignment, status: TaskStatus): void {
  // Assigned rather than spelled after the spread: that way all tasks keep one hidden class.
  const next = { ...task };
  next.NodeID = hold.node.id;
  next.Status = status;
  if (hold.generic.length > 0) next.AssignedGenericResources = [...hold.generic];
  tx.put('task', next);
}

function explain(tx: WriteTx, task: Task, reason: string): void {
  if (task.Status.Err === reason || compareStates(task.DesiredState, 'complete') > 0) return;
  tx.put('task', { ...task, Status: { ...task.Status, Timestamp: tx.now, AppliedAt: tx.now, Err: reason } });
}
