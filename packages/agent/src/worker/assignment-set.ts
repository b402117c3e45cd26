import { type NetworkAllocation, SwarmdError, specKey, TASK_STATE_ORDER, type TaskState } from '@swarmd/model';
import {
  type AssignmentChange,
  type Assignments,
  Assignments_Kind,
  type NetworkAssignment,
  type TaskAssignment,
} from '@swarmd/wire';
import type { AssignedNetwork, AssignedPayload, AssignedSpec, Assignment } from '../task/assignment.js';

/** Everything that this node must have, as of `sequence`. */
export interface AssignmentSet {
  /** Number of the last set or difference that was taken; `undefined` before the first full set of a session. */
  sequence: number | undefined;
  tasks: ReadonlyMap<string, Assignment>;
  /** By {@link specKey}. */
  specs: ReadonlyMap<string, AssignedSpec>;
  secrets: ReadonlyMap<string, AssignedPayload>;
  configs: ReadonlyMap<string, AssignedPayload>;
  networks: ReadonlyMap<string, AssignedNetwork>;
}

/** What became of a message. `stale`: older than what this node has seen; `out-of-sequence`: something was lost. */
export type Taken =
  | { kind: 'partial'; parts: readonly AssignmentChange[] }
  | { kind: 'applied'; set: AssignmentSet; complete: boolean }
  | { kind: 'stale' }
  | { kind: 'out-of-sequence' };

/** A node with nothing assigned. */
export const EMPTY_SET: AssignmentSet = {
  sequence: undefined,
  tasks: new Map(),
  specs: new Map(),
  secrets: new Map(),
  configs: new Map(),
  networks: new Map(),
};

/**
 * Takes one message of assignments: `parts` are the changes of its earlier parts, `seenIndex` the highest store index
 * that this node has seen. Full sets older than that are refused ("No time travel"). Throws `invalid-argument` for a
 * message that makes no sense.
 */
export function takeAssignments(
  set: AssignmentSet,
  message: Assignments,
  parts: readonly AssignmentChange[],
  seenIndex: number,
): Taken {
  const complete = message.kind === Assignments_Kind.KIND_COMPLETE;
  if (!complete && message.kind !== Assignments_Kind.KIND_INCREMENTAL) {
    throw new SwarmdError('invalid-argument', `unknown kind of assignments: ${message.kind}`);
  }
  if (complete && message.storeIndex < seenIndex) return { kind: 'stale' };
  if (!complete && message.appliesTo !== set.sequence) return { kind: 'out-of-sequence' };
  const changes = [...parts, ...message.changes];
  if (!message.lastPart) return { kind: 'partial', parts: changes };
  return { kind: 'applied', set: apply(complete ? EMPTY_SET : set, changes, message.resultsIn), complete };
}

function apply(base: AssignmentSet, changes: readonly AssignmentChange[], sequence: number): AssignmentSet {
  const tasks = new Map(base.tasks);
  const specs = new Map(base.specs);
  const secrets = new Map(base.secrets);
  const configs = new Map(base.configs);
  const networks = new Map(base.networks);
  for (const { item, remove } of changes) {
    switch (item?.$case) {
      case 'task':
        change(tasks, item.value.id, remove, () => readTask(item.value));
        break;
      case 'spec': {
        const { serviceId, specVersion, spec, registryAuth } = item.value;
        change(specs, specKey(serviceId, specVersion), remove, () => ({
          ...{ serviceId, specVersion, registryAuth },
          spec: parse(spec, 'spec'),
        }));
        break;
      }
      case 'secret':
        change(secrets, item.value.id, remove, () => ({ ...item.value }));
        break;
      case 'config':
        change(configs, item.value.id, remove, () => ({ ...item.value }));
        break;
      case 'network':
        change(networks, item.value.id, remove, () => readNetwork(item.value));
        break;
    }
  }
  return { sequence, tasks, specs, secrets, configs, networks };
}

function change<T>(map: Map<string, T>, key: string, remove: boolean, read: () => T): void {
  if (remove) map.delete(key);
  else map.set(key, read());
}

function readNetwork({ id, spec, allocation, addressBlocks }: NetworkAssignment): AssignedNetwork {
  // Those that every engine has by itself carry a null.
  const given = parse<NetworkAllocation | null | undefined>(allocation, 'allocation of a network') ?? undefined;
  return { id, spec: parse(spec, 'network'), ...(given ? { allocation: given } : {}), addressBlocks };
}

function readTask(task: TaskAssignment): Assignment {
  if (!(task.desiredState in TASK_STATE_ORDER)) {
    throw new SwarmdError('invalid-argument', `task ${task.id} has an unknown desired state: ${task.desiredState}`);
  }
  return {
    id: task.id,
    serviceId: task.serviceId,
    serviceName: task.serviceName,
    specVersion: task.specVersion,
    slot: task.slot,
    desiredState: task.desiredState as TaskState,
    ports: parse(task.hostPorts, 'ports') ?? [],
    networks: parse(task.networks, 'networks') ?? [],
    genericResources: parse(task.genericResources, 'generic resources') ?? [],
    nodeHostname: task.nodeHostname,
    ended: task.ended,
  };
}

function parse<T>(bytes: Uint8Array, what: string): T {
  if (bytes.length === 0) return undefined as T;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as T;
  } catch (cause) {
    throw new SwarmdError('invalid-argument', `${what} of an assignment is not JSON`, { cause });
  }
}
