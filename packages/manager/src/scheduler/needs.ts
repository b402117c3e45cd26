import { type ServiceSpec, SwarmdError, type Task, type TaskSpec } from '@swarmd/model';
import { type Constraint, ENGINE_LABEL_PREFIX, labelAfter, NODE_LABEL_PREFIX, parseConstraints } from './constraint.js';
import type { GenericNeed } from './generic.js';

/** A label whose values a spread preference balances. */
export interface SpreadLabel {
  source: 'node' | 'engine';
  label: string;
}

/** All that a version of a service's spec asks of a node, parsed once. CPU in 10⁻⁹ cores, memory in bytes. */
export interface Needs {
  serviceId: string;
  specVersion: number;
  nanoCpus: number;
  memoryBytes: number;
  generic: readonly GenericNeed[];
  /** A named item was reserved, which only the node may choose: no node can satisfy it. */
  namedGeneric: boolean;
  constraints: readonly Constraint[];
  /** Why the constraints could not be read; no node satisfies such a spec. */
  constraintsError: string | undefined;
  platforms: readonly { Architecture?: string | undefined; OS?: string | undefined }[];
  /** Names of volume drivers other than `local`. */
  volumeDrivers: readonly string[];
  /** The logging driver, unless it is unnamed or `none`. */
  logDriver: string | undefined;
  /** Most tasks of the service on one node; 0 is no limit. */
  maxReplicas: number;
  /** Spread preferences, outermost first. Descriptors other than labels are ignored, as Docker Swarm does. */
  spreads: readonly SpreadLabel[];
}

/** Reads what tasks of `spec` need. */
export function readNeeds(serviceId: string, specVersion: number, spec: ServiceSpec): Needs {
  const template = spec.TaskTemplate ?? {};
  const reservations = template.Resources?.Reservations;
  const placement = template.Placement;
  return {
    serviceId,
    specVersion,
    nanoCpus: reservations?.NanoCPUs ?? 0,
    memoryBytes: reservations?.MemoryBytes ?? 0,
    generic: readGeneric(reservations?.GenericResources ?? []),
    namedGeneric: (reservations?.GenericResources ?? []).some((resource) => !resource.DiscreteResourceSpec),
    ...readConstraints(placement?.Constraints ?? []),
    platforms: placement?.Platforms ?? [],
    volumeDrivers: readVolumeDrivers(template),
    logDriver: readLogDriver(template),
    maxReplicas: placement?.MaxReplicas ?? 0,
    spreads: (placement?.Preferences ?? []).flatMap((preference) => readSpread(preference.Spread?.SpreadDescriptor)),
  };
}

function readGeneric(
  resources: readonly { DiscreteResourceSpec?: { Kind: string; Value: number } | null | undefined }[],
): GenericNeed[] {
  return resources.flatMap(({ DiscreteResourceSpec: discrete }) =>
    discrete ? [{ kind: discrete.Kind, count: discrete.Value }] : [],
  );
}

function readConstraints(expressions: readonly string[]): Pick<Needs, 'constraints' | 'constraintsError'> {
  try {
    return { constraints: parseConstraints(expressions), constraintsError: undefined };
  } catch (error) {
    if (!(error instanceof SwarmdError)) throw error;
    return { constraints: [], constraintsError: error.message };
  }
}

function readVolumeDrivers(template: TaskSpec): string[] {
  return (template.ContainerSpec?.Mounts ?? []).flatMap((mount) => {
    const name = mount.Type === 'volume' ? mount.VolumeOptions?.DriverConfig?.Name : undefined;
    return name === undefined || name === '' || name === 'local' ? [] : [name];
  });
}

function readLogDriver(template: TaskSpec): string | undefined {
  const name = template.LogDriver?.Name;
  return name === undefined || name === '' || name === 'none' ? undefined : name;
}

function readSpread(descriptor: string | undefined): SpreadLabel[] {
  if (descriptor === undefined) return [];
  const nodeLabel = labelAfter(NODE_LABEL_PREFIX, descriptor);
  if (nodeLabel !== undefined) return [{ source: 'node', label: nodeLabel }];
  const engineLabel = labelAfter(ENGINE_LABEL_PREFIX, descriptor);
  return engineLabel === undefined ? [] : [{ source: 'engine', label: engineLabel }];
}

const NONE: readonly string[] = [];

/** The host-mode ports of a task as `protocol/port`; ports that the engine chooses never conflict and are left out. */
export function hostPortsOf(task: Task): readonly string[] {
  const ports = task.Endpoint?.Ports;
  if (ports === undefined || ports === null || ports.length === 0) return NONE;
  const held = ports.flatMap((port) =>
    port.PublishMode === 'host' && port.PublishedPort ? [`${port.Protocol ?? 'tcp'}/${port.PublishedPort}`] : [],
  );
  return held.length === 0 ? NONE : held;
}

/** The network drivers that a task's attachments need, those that are known. */
export function networkDriversOf(task: Task): readonly string[] {
  const attachments = task.NetworksAttachments;
  if (attachments === undefined || attachments === null || attachments.length === 0) return NONE;
  return attachments.flatMap((attachment) => {
    const name = attachment.Network.DriverState?.Name;
    return name === undefined || name === '' ? [] : [name];
  });
}
