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
  const driver = spec.Driver ?? 'overlay';
  if (driver !== 'overlay')
    return { refusal: `its driver is ${driver}: networks of the cluster have the driver overlay here`, notes: [] };
  const ipamDriver = spec.IPAM?.Driver ?? 'default';
  if (ipamDriver !== 'default')
    return { refusal: `its IPAM driver is ${ipamDriver}: addresses are given by the cluster here`, notes: [] };
  const encrypted = spec.Options?.['encrypted'] !== undefined;
  return { notes: encrypted ? ['encrypted: that needs IPsec (ESP) in the kernel of every node here'] : [] };
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
  return { notes: [] };
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
