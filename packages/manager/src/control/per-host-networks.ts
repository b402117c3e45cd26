import type { ServiceSpec } from '@swarmd/model';
import { predefinedNetwork } from './predefined-networks.js';

/**
 * What users must know while networks are bridges of each host and there is no routing mesh. For the `warnings` of
 * control's dependencies.
 */
export function perHostNetworkWarnings(spec: ServiceSpec): string[] {
  const warnings: string[] = [];
  const ports = (spec.EndpointSpec?.Ports ?? []).filter((port) => port.PublishMode !== 'host');
  if (ports.length > 0) {
    const list = ports.map((port) => port.PublishedPort ?? `a free port for ${port.TargetPort}`).join(', ');
    warnings.push(`published ports (${list}) answer only on nodes that run a task: there is no routing mesh yet`);
  }
  if ((spec.TaskTemplate?.Networks ?? []).some(({ Target = '' }) => predefinedNetwork(Target) === undefined)) {
    warnings.push('networks reach only tasks of the same node: there are no overlay networks yet');
  }
  return warnings;
}
