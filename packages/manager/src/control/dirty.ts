import { isDeepStrictEqual } from 'node:util';
import { type ReadView, type Service, type ServiceSpec, specKey, type Task } from '@swarmd/model';
import { nodeMatches, parseConstraints } from '../scheduler/constraint.js';

/** How the spec that a task was made from compares with its service's present one. */
type Difference = 'none' | 'placement' | 'more';

/**
 * Whether a task matches its service's present spec: the same version, or one whose task template and endpoint are
 * the same. A change of scale or labels leaves tasks up to date, and so does one of placement while the task's node
 * still meets the constraints (swarmkit `orchestrator.IsTaskDirty`). Differences per spec version are remembered in
 * `known` for the length of one request.
 */
export function isUpToDate(view: ReadView, task: Task, service: Service, known: Map<string, Difference>): boolean {
  if (task.SpecVersion === service.SpecVersion) return true;
  const key = specKey(task.ServiceID, task.SpecVersion);
  const difference = known.get(key) ?? compare(view.get('spec', key)?.Spec, service.Spec);
  known.set(key, difference);
  if (difference !== 'placement') return difference === 'none';
  // A task without a node has yet to be placed, by the constraints of its service's present spec.
  if (task.NodeID === '') return true;
  const node = view.get('node', task.NodeID);
  const constraints = parseConstraints(service.Spec.TaskTemplate?.Placement?.Constraints ?? []);
  return node !== undefined && nodeMatches(constraints, node);
}

function compare(made: ServiceSpec | undefined, present: ServiceSpec): Difference {
  if (made === undefined || !isDeepStrictEqual(made.EndpointSpec, present.EndpointSpec)) return 'more';
  if (isDeepStrictEqual(made.TaskTemplate, present.TaskTemplate)) return 'none';
  const { Placement: _1, ...madeRest } = made.TaskTemplate ?? {};
  const { Placement: _2, ...presentRest } = present.TaskTemplate ?? {};
  return isDeepStrictEqual(madeRest, presentRest) ? 'placement' : 'more';
}
