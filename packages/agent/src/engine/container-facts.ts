import type { ContainerStatus, PortConfig } from '@swarmd/model';
import type Docker from 'dockerode';
import type { ContainerFacts } from '../task/step.js';

/** What an inspection tells of a task's container. */
export interface Inspection {
  id: string;
  facts: Exclude<ContainerFacts, { kind: 'unknown' | 'absent' | 'gone' }>;
  status: ContainerStatus;
  /** Ports that the engine has bound, with the numbers it chose. */
  ports: PortConfig[];
  /** Addresses by network name. */
  addresses: Record<string, string>;
  labels: Record<string, string>;
}

/** Reads the engine's answer to an inspection. A container that is being removed counts as exited. */
export function readInspection(info: Docker.ContainerInspectInfo): Inspection {
  const { State: state, Id: id } = info;
  const pid = state.Pid > 0 ? state.Pid : undefined;
  return {
    id,
    facts: factsOf(id, state),
    status: { ContainerID: id, ...(pid === undefined ? {} : { PID: pid }), ExitCode: state.ExitCode },
    ports: portsOf(info.NetworkSettings.Ports),
    addresses: Object.fromEntries(
      Object.entries(info.NetworkSettings.Networks ?? {}).map(([name, endpoint]) => [name, endpoint.IPAddress]),
    ),
    labels: info.Config.Labels ?? {},
  };
}

function factsOf(id: string, state: Docker.ContainerInspectInfo['State']): Inspection['facts'] {
  switch (state.Status) {
    case 'created':
      return { kind: 'created', id };
    case 'running':
    case 'paused':
    case 'restarting':
      return { kind: 'running', id, health: healthOf(state.Health?.Status) };
    default: {
      const reason = state.OOMKilled ? 'out of memory' : state.Error || undefined;
      return {
        kind: 'exited',
        id,
        exitCode: state.ExitCode,
        ...(reason !== undefined && state.ExitCode !== 0 ? { reason } : {}),
      };
    }
  }
}

function healthOf(status: string | undefined): 'none' | 'starting' | 'healthy' | 'unhealthy' {
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : 'none';
}

function portsOf(ports: Docker.ContainerInspectInfo['NetworkSettings']['Ports'] | null): PortConfig[] {
  const bound: PortConfig[] = [];
  for (const [key, bindings] of Object.entries(ports ?? {})) {
    const [target = '0', protocol = 'tcp'] = key.split('/');
    // IPv4 and IPv6 have a binding each, usually with the same number.
    const numbers = new Set((bindings ?? []).map((binding) => Number(binding.HostPort)));
    for (const published of numbers) {
      bound.push({
        Protocol: protocol as NonNullable<PortConfig['Protocol']>,
        TargetPort: Number(target),
        PublishedPort: published,
        PublishMode: 'host',
      });
    }
  }
  return bound;
}
