import { compareStates, isTerminal, type ReadView, type ServiceExplanation, type Task } from '@swarmd/model';
import { FILTERS } from './filters.js';
import { ClusterMirror } from './mirror.js';
import type { NodeInfo } from './node-info.js';
import { groupFor, type TaskGroup } from './pending-tasks.js';

type ExplainedTask = ServiceExplanation['Tasks'][number];
type ExplainedNode = ExplainedTask['Nodes'][number];

/**
 * Why the tasks of a service wait: for each that has no confirmed node, every filter's verdict on every node (only its
 * own node for a task that comes with one), by hostname. Judged on the state of `view` alone; `now` is milliseconds since
 * the epoch and ages recent failures. A service that does not exist has no tasks.
 */
export function explainService(view: ReadView, serviceId: string, now: number): ServiceExplanation {
  const mirror = new ClusterMirror(() => view);
  mirror.rebuild();
  const nodes = [...mirror.order.list()].sort(
    (a, b) => compareText(hostnameOf(a), hostnameOf(b)) || compareText(a.id, b.id),
  );
  const verdicts = new Map<string, ExplainedNode[]>();
  const explain = (task: Task): ExplainedTask => {
    const spec = mirror.specOf(task.ServiceID, task.SpecVersion);
    const group = groupFor(task, spec);
    const key = `${task.NodeID} ${group.key}`;
    const candidates = task.NodeID === '' ? nodes : nodes.filter((node) => node.id === task.NodeID);
    const judged = verdicts.get(key) ?? candidates.map((node) => judge(node, group, now));
    verdicts.set(key, judged);
    return {
      ID: task.ID,
      Slot: task.Slot,
      NodeID: task.NodeID,
      State: task.Status.State,
      Err: task.Status.Err ?? '',
      Nodes: judged,
    };
  };
  const waiting = [...view.find('task', 'service', serviceId)].filter(isWaiting);
  return {
    ServiceID: serviceId,
    ServiceName: view.get('service', serviceId)?.Spec.Name ?? waiting[0]?.ServiceName ?? '',
    Tasks: waiting.sort((a, b) => a.Slot - b.Slot || compareText(a.ID, b.ID)).map(explain),
  };
}

function isWaiting(task: Task): boolean {
  const wanted = compareStates(task.DesiredState, 'complete') <= 0;
  return wanted && !isTerminal(task.Status.State) && compareStates(task.Status.State, 'assigned') < 0;
}

function judge(node: NodeInfo, group: TaskGroup, now: number): ExplainedNode {
  const verdicts = FILTERS.filter((filter) => filter.applies(group)).map((filter) => {
    const passes = filter.passes(node, group);
    return { Filter: filter.name, Ok: passes, Reason: passes ? '' : filter.reason(node, group) };
  });
  const failures = node.weighingFailures(group.spec.key, now);
  // Not a filter: such a node is only taken when there is no other.
  if (failures > 0) verdicts.push({ Filter: 'failures', Ok: true, Reason: `${failures} recent failures: last choice` });
  return { ID: node.id, Hostname: hostnameOf(node), Verdicts: verdicts };
}

function hostnameOf({ node, id }: NodeInfo): string {
  return node?.Description?.Hostname ?? id;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
