import { isDeepStrictEqual } from 'node:util';
import type { Node, ServiceSpec, Task, TaskSpec } from '@swarmd/model';
import { compareStates } from '@swarmd/model';
import { nodeMatches, parseConstraints } from '../scheduler/constraint.js';
import type { Observed, VersionedSpec } from './observed.js';

/** The part of a service's spec that its tasks are made of. */
export function versionedSpec(spec: ServiceSpec): VersionedSpec {
  return { taskSpec: spec.TaskTemplate, endpointSpec: spec.EndpointSpec ?? undefined };
}

/**
 * Whether a task must be replaced because the service changed: its spec version is another one and what tasks are made
 * of differs. A change of placement alone leaves a task whose node still qualifies (swarmkit `IsTaskDirty`).
 * `specs` compares two versions; pass a {@link specComparer} so that many tasks of one version compare once.
 */
export function isTaskDirty(task: Task, observed: Observed, compare: SpecComparer): boolean {
  if (task.SpecVersion === observed.service.SpecVersion) return false;
  const difference = compare(task.SpecVersion);
  if (difference === 'none') return false;
  if (difference === 'placement') {
    const node = task.NodeID === '' ? undefined : observed.node(task.NodeID);
    if (node === undefined) return task.NodeID !== '';
    return !nodeStillFits(node, observed.service.Spec);
  }
  return compareStates(task.DesiredState, 'complete') <= 0;
}

/** How a version's task template differs from the current one. */
export type SpecDifference = 'none' | 'placement' | 'other';
/** Compares an older version with the current one. */
export type SpecComparer = (specVersion: number) => SpecDifference;

/** A comparer for one service that remembers its answers. */
export function specComparer(observed: Observed): SpecComparer {
  const answers = new Map<number, SpecDifference>();
  const current = versionedSpec(observed.service.Spec);
  return (specVersion) => {
    let answer = answers.get(specVersion);
    if (answer === undefined) {
      answer = compareSpecs(observed.taskSpecOf(specVersion), current);
      answers.set(specVersion, answer);
    }
    return answer;
  };
}

function compareSpecs(older: VersionedSpec | undefined, current: VersionedSpec): SpecDifference {
  if (older === undefined) return 'other';
  if (!isDeepStrictEqual(older.endpointSpec, current.endpointSpec)) return 'other';
  if (isDeepStrictEqual(older.taskSpec, current.taskSpec)) return 'none';
  const bare = (spec: TaskSpec | undefined): unknown => ({ ...spec, Placement: undefined });
  return isDeepStrictEqual(bare(older.taskSpec), bare(current.taskSpec)) ? 'placement' : 'other';
}

function nodeStillFits(node: Node, spec: ServiceSpec): boolean {
  const placement = spec.TaskTemplate?.Placement;
  return nodeMatches(parseConstraints(placement?.Constraints ?? []), node);
}
