import type { TaskState } from '../ladder.js';
import type { Labels, StoredObject } from './common.js';
import type { GenericResource, PortConfig } from './service.js';

/** What the engine says of a task's container. */
export interface ContainerStatus {
  ContainerID?: string;
  PID?: number;
  ExitCode?: number;
}

/** A task's observed state (Docker's TaskStatus). `Timestamp` is the agent's clock, `AppliedAt` the leader's; RFC 3339. */
export interface TaskStatus {
  Timestamp: string;
  State: TaskState;
  Message: string;
  Err?: string;
  ContainerStatus?: ContainerStatus;
  PortStatus?: { Ports?: PortConfig[] };
  /** When the leader wrote this status: restart windows and update monitors count on this clock. */
  AppliedAt?: string;
  /** When the leader first learned that the task runs; kept in later states: an update's monitor counts from it. */
  RunningAt?: string;
}

/** What is said of a task that its node does not suit any more, in Docker Swarm's words. */
export const REJECTION = {
  Message: 'task rejected by constraint enforcer',
  Err: 'assigned node no longer meets constraints',
} as const;

/** A task's place on a network. Addresses carry a prefix length. */
export interface NetworkAttachment {
  Network: { ID: string; Spec?: { Name: string }; DriverState?: { Name: string } };
  Addresses: string[];
  Aliases?: string[];
}

/** Whether a task was given addresses on overlay networks: those that every engine has by itself give none. */
export function isOnOverlay(attachments: readonly NetworkAttachment[] | undefined): boolean {
  return attachments?.some(({ Addresses }) => (Addresses ?? []).length > 0) ?? false;
}

/**
 * A task as stored. It carries no spec of its own: `spec/<ServiceID>/<SpecVersion>` holds the one it shares.
 * `Slot` is 1…n for replicated services, 0 for global ones (whose tasks are keyed by node).
 */
export interface Task extends StoredObject {
  ServiceID: string;
  SpecVersion: number;
  Slot: number;
  NodeID: string;
  DesiredState: TaskState;
  /**
   * When the constraint enforcer found that the task's node does not suit it any more (RFC 3339): it is replaced, and leaves
   * as every task does. It has ended, as {@link REJECTION} says, once its node says so.
   */
  RejectedAt?: string;
  /** A replacement is not started before this time (RFC 3339): the restart delay of the task it replaces. */
  StartAfter?: string;
  Status: TaskStatus;
  /** Labels of the service at creation time: `/tasks` is filtered by them. */
  Labels?: Labels;
  ServiceName: string;
  JobIteration?: { Index: number };
  NetworksAttachments?: NetworkAttachment[];
  /** Ports in host mode and, once allocated, ingress ports. */
  Endpoint?: { Ports?: PortConfig[] };
  AssignedGenericResources?: GenericResource[];
}

/** The name Docker gives a task's container: `service.slot.taskid`, or `service.nodeid.taskid` for global services. */
export function taskName(task: Pick<Task, 'ServiceName' | 'Slot' | 'NodeID' | 'ID'>): string {
  return `${task.ServiceName}.${task.Slot > 0 ? task.Slot : task.NodeID}.${task.ID}`;
}
