import type { ClusterSpec, NetworkSpec, SecretSpec, ServiceSpec } from '@swarmd/model';

/**
 * What swarmd does not do (yet) with an object: `refusal` is why it cannot be made here at all, `notes` what is
 * different once it is. The operator's page on it is docs/guide/limits.md.
 */
export interface Limits {
  readonly refusal?: string;
  readonly notes: readonly string[];
}

/** Networks that services may name without anybody making them. */
export const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['host', 'bridge']);

/** What is different of a network. */
export function networkLimits(spec: NetworkSpec): Limits {
  const notes: string[] = [];
  const driver = spec.Driver ?? 'overlay';
  notes.push('a bridge of each host here: tasks reach each other by name only on the same node');
  if (driver !== 'overlay' && driver !== 'bridge') notes.push(`its driver ${driver} is not used: it is a bridge, too`);
  if (spec.Options?.['encrypted'] !== undefined) notes.push('not encrypted here: nothing of it leaves its host');
  if (spec.Attachable === true) notes.push('attachable with docker run on each host, but apart from other hosts');
  const ipamDriver = spec.IPAM?.Driver ?? 'default';
  if (ipamDriver !== 'default') notes.push(`its IPAM driver ${ipamDriver} is not used`);
  return { notes };
}

/** What is different of a secret. */
export function secretLimits(spec: SecretSpec): Limits {
  if (!spec.Driver?.Name) return { notes: [] };
  return {
    refusal: `its value comes from the plugin ${spec.Driver.Name}: secret drivers are not there yet`,
    notes: [],
  };
}

/** What is different of a service. */
export function serviceLimits(spec: ServiceSpec): Limits {
  const task = spec.TaskTemplate ?? {};
  if (task.Runtime !== undefined && task.Runtime !== 'container') {
    return { refusal: `its runtime is ${task.Runtime}: only containers are run here`, notes: [] };
  }
  const csi = (task.ContainerSpec?.Mounts ?? []).find(({ Type }) => Type === 'cluster');
  if (csi !== undefined) {
    return {
      refusal: `it mounts the cluster volume ${csi.Source ?? ''}: cluster volumes (CSI) are not there yet`,
      notes: [],
    };
  }
  const notes: string[] = [];
  const meshed = (spec.EndpointSpec?.Ports ?? []).filter(({ PublishMode }) => PublishMode !== 'host');
  if (meshed.length > 0) {
    const ports = meshed.map(({ PublishedPort, TargetPort }) => PublishedPort ?? `a free one for ${TargetPort}`);
    notes.push(`published ports (${ports.join(', ')}) answer only on nodes that run a task: no routing mesh yet`);
  }
  const own = (task.Networks ?? []).some(({ Target = '' }) => !PREDEFINED_NETWORKS.has(Target));
  if (own) notes.push('its networks reach only tasks of the same node, without a virtual IP');
  return { notes };
}

/** What of the cluster's own settings stays where it is. */
export function clusterLimits(spec: ClusterSpec): Limits {
  const notes: string[] = [];
  if (spec.EncryptionConfig?.AutoLockManagers === true) {
    notes.push(
      'autolock is not carried over, as its key belongs to the other cluster: `swarm update --autolock` turns it on here',
    );
  }
  const external = (spec.CAConfig as { ExternalCAs?: unknown[] | null } | undefined)?.ExternalCAs ?? [];
  if (external.length > 0)
    notes.push('its external CA is not carried over: certificates are made by the managers here');
  return { notes };
}
