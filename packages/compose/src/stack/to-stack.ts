import type { Labels, NetworkSpec, ServiceSpec } from '@swarmd/model';
import type { Problem, Report } from '../problem.js';
import type { Project } from '../project/types.js';
import { scoped, stackLabels } from './namespace.js';
import { convertNetworks } from './networks.js';
import { convertObjects, type StackConfig, type StackSecret } from './objects.js';
import { serviceReport } from './report.js';
import { convertService } from './service.js';

/** A named volume of a stack. Nodes make it when a task needs it: this list is for people. */
export interface StackVolume {
  name: string;
  external: boolean;
  driver?: string;
  driverOptions: Record<string, string>;
  labels: Labels;
}

/** A stack, ready to be deployed. Networks, secrets and configs come first, then services. */
export interface Stack {
  namespace: string;
  /** Docker's ServiceSpecs, in the order of the file; networks, secrets and configs are referred to by name. */
  services: ServiceSpec[];
  /** Networks to create. */
  networks: NetworkSpec[];
  /** Names of networks that must exist already. */
  externalNetworks: string[];
  secrets: StackSecret[];
  configs: StackConfig[];
  volumes: StackVolume[];
  /** All that the stack cannot honour. A deploy should refuse when one is an `error`, unless it is told to go on. */
  warnings: Problem[];
}

/**
 * `project` as the stack `namespace`: names become `namespace_name`, everything carries `com.docker.stack.namespace`.
 * Pure: equal projects give equal stacks. Source: docker/cli, `cli/compose/convert`.
 * @throws SwarmdError `invalid-argument` for values that contradict each other.
 */
export function toStack(project: Project, { namespace }: { namespace: string }): Stack {
  const warnings: Problem[] = [];
  const report: Report = (problem) => void warnings.push(problem);
  const services = Object.values(project.services).map((service) =>
    convertService(project, service, namespace, serviceReport(project, service.name, report)),
  );
  const { networks, external } = convertNetworks(project, namespace, report);
  return {
    namespace,
    services,
    networks,
    externalNetworks: external,
    secrets: convertObjects(project, 'secrets', namespace, report),
    configs: convertObjects(project, 'configs', namespace, report),
    volumes: convertVolumes(project, namespace, report),
    warnings,
  };
}

function convertVolumes(project: Project, namespace: string, report: Report): StackVolume[] {
  return Object.entries(project.volumes).map(([name, volume]) => {
    if (volume.clusterSpec !== undefined) {
      const at = project.positions.get(`volumes.${name}`);
      const message = 'x-cluster-spec is ignored: there are no cluster volumes';
      report({ path: `volumes.${name}`, severity: 'warning', message, ...(at === undefined ? {} : { at }) });
    }
    return {
      name: volume.name ?? scoped(namespace, name),
      external: volume.external,
      ...(volume.driver === undefined ? {} : { driver: volume.driver }),
      driverOptions: volume.driverOptions,
      labels: volume.external ? {} : stackLabels(namespace, volume.labels),
    };
  });
}
