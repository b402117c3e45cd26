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
 * The ports that a task's own container publishes, those in host mode: as the allocator gave them, and from the spec those
 * it gave none for, as they need no allocator. The routing mesh publishes the others.
 */
export function hostPorts(allocated: readonly PortConfig[], endpoint: EndpointSpec | null | undefined): PortConfig[] {
  const key = (port: PortConfig) => `${port.Protocol ?? 'tcp'}/${port.TargetPort}`;
  const isHost = (port: PortConfig) => port.PublishMode === 'host';
  const given = allocated.filter(isHost);
  const keys = new Set(given.map(key));
  return [...given, ...(endpoint?.Ports ?? []).filter((port) => isHost(port) && !keys.has(key(port)))];
}
