import type { EndpointSpec, PortConfig } from '@swarmd/model';

/** The engine's port bindings and exposed ports. A published port of 0 is left to the engine's choice. */
export function convertPorts(ports: readonly PortConfig[]): {
  ExposedPorts: Record<string, Record<string, never>>;
  PortBindings: Record<string, { HostPort: string }[]>;
} {
  const ExposedPorts: Record<string, Record<string, never>> = {};
  const PortBindings: Record<string, { HostPort: string }[]> = {};
  for (const port of ports) {
    const key = `${port.TargetPort ?? 0}/${port.Protocol ?? 'tcp'}`;
    ExposedPorts[key] = {};
    const bindings = PortBindings[key] ?? [];
    bindings.push({ HostPort: port.PublishedPort ? String(port.PublishedPort) : '' });
    PortBindings[key] = bindings;
  }
  return { ExposedPorts, PortBindings };
}

/**
 * A task's ports by publish mode: those the allocator gave, and from the spec those it gave none for (a host-mode port
 * needs no allocator; an ingress port without a number is not published yet).
 */
export function taskPorts(
  allocated: readonly PortConfig[],
  endpoint: EndpointSpec | null | undefined,
): { host: PortConfig[]; ingress: PortConfig[] } {
  const key = (port: PortConfig) => `${port.PublishMode === 'host'}/${port.Protocol ?? 'tcp'}/${port.TargetPort}`;
  const given = new Set(allocated.map(key));
  const all = [...allocated, ...(endpoint?.Ports ?? []).filter((port) => !given.has(key(port)))];
  return {
    host: all.filter((port) => port.PublishMode === 'host'),
    ingress: all.filter((port) => port.PublishMode !== 'host' && (port.PublishedPort ?? 0) > 0),
  };
}
