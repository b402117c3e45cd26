import { DEFAULTS, type Endpoint, type PortConfig, type Service } from '@swarmd/model';

/** What the allocation of a service's ports came to. */
export type PortAllocation = { endpoint: Endpoint } | { error: string };

/** Ingress ports of other services, `protocol/port`. */
export interface OtherPorts {
  /** Given to one. */
  taken: ReadonlySet<string>;
  /** Asked for by one in its spec, which may not have been given them yet: no dynamic port may be in their way. */
  claimed: ReadonlySet<string>;
}

/** Key of an ingress port across services. */
export function portKey(port: Pick<PortConfig, 'Protocol' | 'PublishedPort'>): string {
  return `${port.Protocol ?? 'tcp'}/${port.PublishedPort ?? 0}`;
}

/** Whether a published port is the cluster's (as against one of the task's own host). */
export function isIngress(port: PortConfig): boolean {
  return (port.PublishMode || 'ingress') === 'ingress';
}

/**
 * The endpoint of a service: its ports with the dynamic ones (published port 0) filled in from 30000–32767. Ports that
 * the service already has are kept. Pure; an error says which port cannot be had.
 */
export function allocatePorts(service: Service, others: OtherPorts): PortAllocation {
  const spec = service.Spec.EndpointSpec ?? { Mode: 'vip' };
  const had = service.Endpoint?.Ports ?? [];
  const mine = new Set<string>();
  const ports: PortConfig[] = [];
  const wanted = spec.Ports ?? [];
  for (const port of wanted) if (isIngress(port) && port.PublishedPort) mine.add(portKey(port));
  for (const port of wanted) {
    if (!isIngress(port)) {
      ports.push(port);
      continue;
    }
    if (port.PublishedPort) {
      if (others.taken.has(portKey(port))) {
        return { error: `port '${port.PublishedPort}/${port.Protocol ?? 'tcp'}' is already in use by another service` };
      }
      ports.push({ ...port, PublishMode: 'ingress' });
      continue;
    }
    const published = dynamicPort(port, had, others, mine);
    if (published === undefined)
      return { error: `no free port left between 30000 and 32767 (${port.Protocol ?? 'tcp'})` };
    mine.add(portKey({ ...port, PublishedPort: published }));
    ports.push({ ...port, PublishedPort: published, PublishMode: 'ingress' });
  }
  const endpoint: Endpoint = { Spec: spec };
  if (ports.length > 0) endpoint.Ports = ports;
  if (service.Endpoint?.VirtualIPs !== undefined) endpoint.VirtualIPs = service.Endpoint.VirtualIPs;
  return { endpoint };
}

/** The port that the same target had before, or the lowest free one. */
function dynamicPort(
  port: PortConfig,
  had: readonly PortConfig[],
  { taken, claimed }: OtherPorts,
  mine: ReadonlySet<string>,
): number | undefined {
  const free = (published: number): boolean => {
    const key = portKey({ ...port, PublishedPort: published });
    return !taken.has(key) && !claimed.has(key) && !mine.has(key);
  };
  const { dynamicPortMin: min, dynamicPortMax: max } = DEFAULTS;
  // Several ports may lead to one target: each keeps its own.
  for (const old of had) {
    const before = old.PublishedPort ?? 0;
    const sameTarget = old.TargetPort === port.TargetPort && (old.Protocol ?? 'tcp') === (port.Protocol ?? 'tcp');
    if (isIngress(old) && sameTarget && before >= min && before <= max && free(before)) return before;
  }
  for (let candidate: number = min; candidate <= max; candidate++) if (free(candidate)) return candidate;
  return undefined;
}
