import type { GenericResource, TaskSpec } from '@swarmd/model';
import type Docker from 'dockerode';

type Resources = Pick<
  Docker.HostConfig,
  'Memory' | 'MemoryReservation' | 'MemorySwap' | 'MemorySwappiness' | 'NanoCpus' | 'PidsLimit' | 'Ulimits'
>;

/**
 * Limits of a container. A memory reservation becomes the engine's soft limit, which it takes only below the hard one;
 * a CPU reservation is the scheduler's business alone.
 */
export function convertResources(template: TaskSpec): Resources {
  const resources = template.Resources;
  const limits = resources?.Limits;
  const memoryBytes = limits?.MemoryBytes ?? 0;
  const reservedBytes = resources?.Reservations?.MemoryBytes ?? 0;
  const swapBytes = numberIn(resources, 'SwapBytes');
  const swappiness = numberIn(resources, 'MemorySwappiness');
  const ulimits = template.ContainerSpec?.Ulimits;
  return {
    ...(memoryBytes > 0 ? { Memory: memoryBytes } : {}),
    ...(reservedBytes > 0 && (memoryBytes === 0 || reservedBytes <= memoryBytes)
      ? { MemoryReservation: reservedBytes }
      : {}),
    // The engine's figure is memory and swap together; -1 is no limit.
    ...(memoryBytes > 0 && swapBytes !== undefined ? { MemorySwap: swapBytes < 0 ? -1 : memoryBytes + swapBytes } : {}),
    ...(swappiness === undefined ? {} : { MemorySwappiness: swappiness }),
    ...(limits?.NanoCPUs ? { NanoCpus: limits.NanoCPUs } : {}),
    ...(limits?.Pids ? { PidsLimit: limits.Pids } : {}),
    ...(ulimits && ulimits.length > 0
      ? { Ulimits: ulimits.map(({ Name, Soft, Hard }) => ({ Name, Soft, Hard })) }
      : {}),
  };
}

function numberIn(object: Record<string, unknown> | null | undefined, key: string): number | undefined {
  const value = object?.[key];
  return typeof value === 'number' ? value : undefined;
}

/** `DOCKER_RESOURCE_<KIND>=…` for each kind of generic resource that the task was given (as Docker Swarm's). */
export function genericResourceEnv(resources: readonly GenericResource[]): string[] {
  const values = new Map<string, string[]>();
  for (const resource of resources) {
    const item = resource.NamedResourceSpec ?? resource.DiscreteResourceSpec;
    if (item) values.set(item.Kind, [...(values.get(item.Kind) ?? []), String(item.Value)]);
  }
  return [...values].map(([kind, items]) => `DOCKER_RESOURCE_${kind.toUpperCase()}=${items.join(',')}`);
}
