import { type NewObject, type Node, rfc3339, type Service, type Task, type TaskState } from '@swarmd/model';
import { buildNode, buildServiceSpec } from '@swarmd/testkit';
import { versionedSpec } from '../../src/orchestrator/dirty.js';
import type { Observed } from '../../src/orchestrator/observed.js';

/** The moment at which tables of tasks begin. */
export const START_MS = Date.UTC(2026, 0, 1);

/** RFC 3339 of so many seconds after the beginning. */
export function at(seconds: number): string {
  return rfc3339(START_MS + seconds * 1000);
}

/** What a table says of a task; times in seconds after the beginning. */
export interface TaskRow {
  slot?: number;
  node?: string;
  state?: TaskState;
  desired?: TaskState;
  version?: number;
  created?: number;
  ran?: number;
  ended?: number;
  startAfter?: number;
  /** It was found not to suit its node. */
  rejected?: number;
}

/** A task of version 1 in slot 1 on node n1 that runs, unless `row` says otherwise. */
export function taskOf(id: string, row: TaskRow = {}): Task {
  const { slot = 1, node = 'n1', state = 'running', desired = 'running', version = 1, created = 0 } = row;
  return {
    ...{ ID: id, ServiceID: 'web', ServiceName: 'web', SpecVersion: version, Slot: slot, NodeID: node },
    ...{ DesiredState: desired, Version: { Index: 1 }, CreatedAt: at(created), UpdatedAt: at(created) },
    ...(row.startAfter === undefined ? {} : { StartAfter: at(row.startAfter) }),
    ...(row.rejected === undefined ? {} : { RejectedAt: at(row.rejected) }),
    Status: {
      ...{ State: state, Message: '', Timestamp: at(created), AppliedAt: at(row.ended ?? row.ran ?? created) },
      ...(row.ran === undefined ? {} : { RunningAt: at(row.ran) }),
    },
  };
}

/** A service `web` of version 1 with two replicas. Versions differ in all that tasks are made of. */
export function serviceOf(over: Partial<Service> = {}): Service {
  const stamps = { Version: { Index: 1 }, CreatedAt: at(0), UpdatedAt: at(0) };
  return { ID: 'web', ...stamps, Spec: buildServiceSpec('web', 2), SpecVersion: 1, ...over };
}

/** What a pass sees `now` seconds after the beginning, with nodes n1…n3 unless given. */
export function observedOf(
  service: Service,
  tasks: readonly Task[],
  now: number,
  nodes: readonly NewObject<Node>[] = ['n1', 'n2', 'n3'].map((id) => buildNode(id)),
): Observed {
  const stamped = nodes.map((node) => ({ ...node, Version: { Index: 1 }, CreatedAt: at(0), UpdatedAt: at(0) }));
  return {
    service,
    tasks,
    node: (id) => stamped.find((node) => node.ID === id),
    nodes: () => stamped,
    taskSpecOf: (version) => {
      const { TaskTemplate } = service.Spec;
      const made = version === service.SpecVersion ? TaskTemplate : { ...TaskTemplate, ForceUpdate: 1_000 + version };
      return versionedSpec({ ...service.Spec, TaskTemplate: made });
    },
    now: START_MS + now * 1000,
  };
}
