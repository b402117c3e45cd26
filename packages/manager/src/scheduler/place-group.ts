import type { Node, Task } from '@swarmd/model';
import { type Filter, firstRefusal, noSuitableNode } from './filters.js';
import type { ClusterMirror } from './mirror.js';
import type { Hold, NodeInfo } from './node-info.js';
import { groupFor, type TaskGroup } from './pending-tasks.js';
import { type Chooser, SpreadTree } from './spread-tree.js';

/** What the scheduler wants written. `node` is the node object on which an assignment was decided. */
export type Decision =
  | { kind: 'assign'; taskId: string; hold: Hold; node: Node | undefined; preassigned: boolean }
  | { kind: 'explain'; taskId: string; reason: string }
  | { kind: 'end'; taskId: string };

/** After this many nodes judged, or tasks placed, a step ends, so that others get their turn: 1–3 ms each. */
const NODES_PER_STEP = 4_096;
const TASKS_PER_STEP = 1_000;

/**
 * Places the tasks of a group, best node first: fewer than five recent failures of this spec version, then fewer tasks
 * of the service, then fewer tasks in all, then node ID; spread preferences come before all of these. Each decision
 * counts in the mirror at once and goes to `decide`. Tasks that fit nowhere are explained. Between steps the mirror may
 * change; every choice is checked against it as it is then.
 */
export function* placeGroup(
  mirror: ClusterMirror,
  group: TaskGroup,
  now: number,
  decide: (decision: Decision) => void,
): Generator<void, void, void> {
  const nodes = mirror.order.list();
  const revision = mirror.nodeRevision;
  const tree = new SpreadTree(group.spec.needs.spreads);
  const rank = rankOf(group, now);
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    tree.count(node, group.spec.load.get(node.slot) ?? 0);
    if (firstRefusal(group.filters, node, group) === undefined) tree.add(node, rank(node));
    if (i % NODES_PER_STEP === NODES_PER_STEP - 1) yield;
  }
  tree.arrange();

  const chooser: Chooser = {
    rank,
    accepts: (node) => {
      const filters = mirror.nodeRevision === revision ? group.changingFilters : group.filters;
      return firstRefusal(filters, node, group) === undefined;
    },
  };
  let placed = 0;
  for (const known of inOrder(group.tasks)) {
    const task = group.tasks.get(known.ID);
    if (task === undefined) continue;
    const node = tree.place(chooser, (best) => {
      mirror.pending.take(group, task.ID);
      const hold = mirror.reserve(task, best, group.spec);
      decide({ kind: 'assign', taskId: task.ID, hold, node: best.node, preassigned: false });
    });
    if (node === undefined) break;
    if (++placed % TASKS_PER_STEP === 0) yield;
  }
  if (group.tasks.size > 0) yield* explainGroup(mirror, group, decide);
}

/** Judges the tasks that were given `nodeId` by their orchestrator. */
export function placePreassigned(mirror: ClusterMirror, nodeId: string, decide: (decision: Decision) => void): void {
  const node = mirror.nodes.get(nodeId);
  const tasks = mirror.pending.preassigned.get(nodeId);
  if (node?.node === undefined || tasks === undefined) return;
  for (const task of [...tasks.values()].sort((a, b) => (a.ID < b.ID ? -1 : 1))) {
    const group = groupFor(task, mirror.specOf(task.ServiceID, task.SpecVersion));
    const refusal = firstRefusal(group.filters, node, group);
    if (refusal !== undefined) {
      const reason = refusal.summary(1);
      if (task.Status.Err !== reason) decide({ kind: 'explain', taskId: task.ID, reason });
      continue;
    }
    mirror.pending.removePreassigned(nodeId, task.ID);
    const hold = mirror.reserve(task, node, group.spec);
    decide({ kind: 'assign', taskId: task.ID, hold, node: node.node, preassigned: true });
  }
}

/** The order of preference as one number: failures (when they weigh), tasks of the service, all tasks. */
function rankOf(group: TaskGroup, now: number): (node: NodeInfo) => number {
  const { key, load } = group.spec;
  return (node) => {
    const failures = node.failures === undefined ? 0 : node.weighingFailures(key, now);
    // 20 bits each: a node holds fewer than a million tasks, and the sum stays an exact integer.
    return (failures * 2 ** 20 + (load.get(node.slot) ?? 0)) * 2 ** 20 + node.activeTasks;
  };
}

/** Lower slots first; they usually come in that order. */
function inOrder(tasks: ReadonlyMap<string, Task>): Task[] {
  const list = [...tasks.values()];
  const before = (a: Task, b: Task): number => a.Slot - b.Slot || (a.ID < b.ID ? -1 : 1);
  for (let i = 1; i < list.length; i++) if (before(list[i - 1]!, list[i]!) > 0) return list.sort(before);
  return list;
}

function* explainGroup(
  mirror: ClusterMirror,
  group: TaskGroup,
  decide: (decision: Decision) => void,
): Generator<void, void, void> {
  const refusals = new Map<Filter, number>();
  const nodes = mirror.order.list();
  for (let i = 0; i < nodes.length; i++) {
    const refusal = firstRefusal(group.filters, nodes[i]!, group);
    // Room has appeared since: the event that made it has the group tried again.
    if (refusal === undefined) return;
    refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
    if (i % NODES_PER_STEP === NODES_PER_STEP - 1) yield;
  }
  const reason = noSuitableNode(refusals);
  let explained = 0;
  for (const task of [...group.tasks.values()]) {
    if (task.Status.Err !== reason) decide({ kind: 'explain', taskId: task.ID, reason });
    if (++explained % TASKS_PER_STEP === 0) yield;
  }
}
