import type { ServiceSpec } from '@swarmd/model';
import { taskName } from '@swarmd/model';
import * as labels from '../labels.js';
import type { Assignment } from '../task/assignment.js';
import type { NodeFacts } from './request.js';

const STACK_LABEL = 'com.docker.stack.namespace';

/** The container's name: `service.slot.taskid`, or `service.nodeid.taskid` for global services. */
export function containerName(assignment: Assignment, nodeId: string): string {
  const { serviceName, slot, id } = assignment;
  return taskName({ ServiceName: serviceName, Slot: slot, NodeID: nodeId, ID: id });
}

/** The spec's container labels under those that Docker Swarm sets, and our cluster's. */
export function containerLabels(
  assignment: Assignment,
  spec: ServiceSpec,
  node: Pick<NodeFacts, 'nodeId' | 'clusterId'>,
): Record<string, string> {
  const stack = spec.Labels?.[STACK_LABEL];
  return {
    ...(stack === undefined ? {} : { [STACK_LABEL]: stack }),
    ...spec.TaskTemplate?.ContainerSpec?.Labels,
    [labels.TASK_LABEL]: '',
    [labels.TASK_ID_LABEL]: assignment.id,
    [labels.TASK_NAME_LABEL]: containerName(assignment, node.nodeId),
    [labels.NODE_ID_LABEL]: node.nodeId,
    [labels.SERVICE_ID_LABEL]: assignment.serviceId,
    [labels.SERVICE_NAME_LABEL]: assignment.serviceName,
    [labels.CLUSTER_LABEL]: node.clusterId,
  };
}
