import { type PortConfig, rfc3339, type TaskStatus } from '@swarmd/model';
import type { Inspection } from '../engine/container-facts.js';
import type { AssignedSpec, Assignment } from './assignment.js';
import type { Step } from './step.js';

/** The status of a task that has just been assigned (`nowMs`: wall time). */
export function firstStatus(nowMs: number): TaskStatus {
  return { Timestamp: rfc3339(nowMs), State: 'assigned', Message: 'assigned' };
}

/** The status after a transition. What is known of the container stays; ports only while it runs. */
export function statusAfter(
  status: TaskStatus,
  step: Extract<Step, { kind: 'transition' }>,
  nowMs: number,
): TaskStatus {
  const { ContainerStatus, PortStatus } = status;
  return {
    Timestamp: rfc3339(nowMs),
    State: step.state,
    Message: step.message,
    ...(step.err === undefined ? {} : { Err: step.err }),
    ...(ContainerStatus ? { ContainerStatus } : {}),
    ...(PortStatus && step.state === 'running' ? { PortStatus } : {}),
  };
}

/** The status with what an inspection tells of the container: ID, process, exit code, and the task's host-mode ports. */
export function statusWith(
  status: TaskStatus,
  found: Inspection,
  assignment: Assignment,
  spec: AssignedSpec | undefined,
): TaskStatus {
  const ports = hostPorts(found.ports, [...assignment.ports, ...(spec?.spec.EndpointSpec?.Ports ?? [])]);
  return {
    ...status,
    ContainerStatus: found.status,
    ...(ports.length > 0 ? { PortStatus: { Ports: ports } } : {}),
  };
}

/** Of the ports that the engine bound those in host mode: the others are the cluster's. */
function hostPorts(bound: readonly PortConfig[], wanted: readonly PortConfig[]): PortConfig[] {
  return bound.filter((port) =>
    wanted.some(
      (one) =>
        one.PublishMode === 'host' && one.TargetPort === port.TargetPort && (one.Protocol ?? 'tcp') === port.Protocol,
    ),
  );
}
