import { AssignmentChange, type Assignments, Assignments_Kind, MESSAGE_BYTES, RECEIVE_BYTES } from '@swarmd/wire';
import type { AssignmentDiff, AssignmentItem } from './assignments.js';

/** Room for what a message carries besides its changes. */
const ENVELOPE_BYTES = 128;

/** Where a difference stands in the sequence of a session. */
export interface AssignmentStep {
  kind: 'complete' | 'incremental';
  appliesTo: number;
  resultsIn: number;
  storeIndex: number;
}

/**
 * The messages that carry a difference, each at most `maxBytes` unless a single change is larger; the last is marked.
 * A full set makes at least one message, even when it is empty. What agents could not receive is left out: its tasks
 * wait for it, where sending it would end this session and every later one.
 */
export function assignmentMessages(
  diff: AssignmentDiff,
  step: AssignmentStep,
  maxBytes = MESSAGE_BYTES,
): Assignments[] {
  const changes = [...diff.put.map(putChange), ...diff.remove.map(removeChange)];
  const parts = splitChanges(changes, maxBytes - ENVELOPE_BYTES);
  const kind = step.kind === 'complete' ? Assignments_Kind.KIND_COMPLETE : Assignments_Kind.KIND_INCREMENTAL;
  const { appliesTo, resultsIn, storeIndex } = step;
  return parts.map((part, index) => ({
    kind,
    appliesTo,
    resultsIn,
    storeIndex,
    lastPart: index === parts.length - 1,
    changes: part,
  }));
}

function splitChanges(changes: readonly AssignmentChange[], maxBytes: number): AssignmentChange[][] {
  const parts: AssignmentChange[][] = [[]];
  let bytes = 0;
  for (const change of changes) {
    // The tag and length in front of each change take up to six bytes.
    const size = AssignmentChange.encode(change).finish().length + 6;
    if (size > RECEIVE_BYTES - ENVELOPE_BYTES) continue;
    if (bytes + size > maxBytes && parts.at(-1)!.length > 0) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(change);
    bytes += size;
  }
  return parts;
}

function putChange(item: AssignmentItem): AssignmentChange {
  return { remove: false, item: contentOf(item) };
}

function contentOf(item: AssignmentItem): AssignmentChange['item'] {
  switch (item.kind) {
    case 'task':
      return { $case: 'task', value: taskContent(item) };
    case 'spec': {
      const { ServiceID, SpecVersion, Spec, RegistryAuth } = item.record;
      const value = {
        serviceId: ServiceID,
        specVersion: SpecVersion,
        spec: json(Spec),
        registryAuth: RegistryAuth ?? '',
      };
      return { $case: 'spec', value };
    }
    case 'secret':
      return { $case: 'secret', value: dataContent(item.secret) };
    case 'config':
      return { $case: 'config', value: dataContent(item.config) };
    case 'network':
      return { $case: 'network', value: networkContent(item) };
  }
}

function taskContent({ task, hostname, ended }: AssignmentItem & { kind: 'task' }) {
  return {
    id: task.ID,
    serviceId: task.ServiceID,
    specVersion: task.SpecVersion,
    serviceName: task.ServiceName,
    slot: task.Slot,
    desiredState: task.DesiredState,
    hostPorts: json(task.Endpoint?.Ports ?? []),
    networks: json(task.NetworksAttachments ?? []),
    genericResources: json(task.AssignedGenericResources ?? []),
    nodeHostname: hostname,
    createdAt: task.CreatedAt,
    ended,
  };
}

function networkContent({ network: { ID, Spec, Allocation }, addressBlocks }: AssignmentItem & { kind: 'network' }) {
  return { id: ID, spec: json(Spec), allocation: json(Allocation ?? null), addressBlocks: [...addressBlocks] };
}

type WithData = {
  ID: string;
  Spec: { Name: string; Data?: string | undefined; Templating?: { Name?: string | undefined } | null | undefined };
};

function dataContent({ ID, Spec }: WithData) {
  return {
    id: ID,
    name: Spec.Name,
    data: Buffer.from(Spec.Data ?? '', 'base64'),
    templating: Spec.Templating?.Name ?? '',
  };
}

/** A removal names the thing and nothing more. */
function removeChange(item: AssignmentItem): AssignmentChange {
  const none = Buffer.alloc(0);
  const empty = { name: '', data: none, templating: '' };
  switch (item.kind) {
    case 'task': {
      const texts = { serviceName: '', desiredState: '', nodeHostname: '', createdAt: '' };
      const blobs = { hostPorts: none, networks: none, genericResources: none };
      const value = { id: item.task.ID, serviceId: '', specVersion: 0, slot: 0, ended: false, ...texts, ...blobs };
      return { remove: true, item: { $case: 'task', value } };
    }
    case 'spec': {
      const { ServiceID, SpecVersion } = item.record;
      const value = { serviceId: ServiceID, specVersion: SpecVersion, spec: none, registryAuth: '' };
      return { remove: true, item: { $case: 'spec', value } };
    }
    case 'secret':
      return { remove: true, item: { $case: 'secret', value: { id: item.secret.ID, ...empty } } };
    case 'config':
      return { remove: true, item: { $case: 'config', value: { id: item.config.ID, ...empty } } };
    case 'network':
      return {
        remove: true,
        item: { $case: 'network', value: { id: item.network.ID, spec: none, allocation: none, addressBlocks: [] } },
      };
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
