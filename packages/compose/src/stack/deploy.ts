import type {
  EndpointSpec,
  Placement,
  PortConfig,
  RestartPolicy,
  ServiceMode,
  TaskSpec,
  UpdateConfig,
} from '@swarmd/model';
import { parsePortRange } from '../canonical/ports.js';
import { composeError } from '../problem.js';
import { defined } from '../project/reader.js';
import type { Project, Rollout, Service } from '../project/types.js';
import { omitEmpty } from './namespace.js';
import type { ServiceReport } from './report.js';

/**
 * `deploy.mode` with `deploy.replicas` (or `scale`).
 * @throws SwarmdError `invalid-argument` for replicas of a global service.
 */
export function convertMode(project: Project, service: Service): ServiceMode {
  const replicas = service.deploy.replicas ?? service.scale;
  const { mode } = service.deploy;
  if (replicas !== undefined && (mode === 'global' || mode === 'global-job')) {
    const path = `services.${service.name}.deploy.replicas`;
    throw composeError(
      path,
      `a ${mode} service has no replicas`,
      project.positions.get(`services.${service.name}.deploy`),
    );
  }
  switch (mode) {
    case 'global':
      return { Global: {} };
    case 'global-job':
      return { GlobalJob: {} };
    case 'replicated-job':
      return { ReplicatedJob: defined({ MaxConcurrent: replicas, TotalCompletions: replicas }) };
    default:
      return { Replicated: defined({ Replicas: replicas }) };
  }
}

/** `update_config` or `rollback_config`: one task at a time when nothing is said. */
export function convertRollout(rollout: Rollout | undefined): UpdateConfig | undefined {
  if (rollout === undefined) return undefined;
  return {
    Parallelism: rollout.parallelism ?? 1,
    ...omitEmpty({
      Delay: rollout.delayNs,
      FailureAction: rollout.failureAction as UpdateConfig['FailureAction'],
      Monitor: rollout.monitorNs,
    }),
    MaxFailureRatio: rollout.maxFailureRatio ?? 0,
    Order: (rollout.order ?? '') as '',
  };
}

/** `deploy.resources`, completed by `cpus`, `mem_limit`, `mem_reservation` and `pids_limit`. */
export function convertResources(service: Service): TaskSpec['Resources'] {
  const { limits, reservations } = service.deploy;
  const Limits = omitEmpty({
    NanoCPUs: limits?.nanoCpus ?? service.nanoCpus,
    MemoryBytes: limits?.memoryBytes ?? service.memoryLimitBytes,
    Pids: limits?.pids ?? service.pidsLimit,
  });
  const Reservations = omitEmpty({
    NanoCPUs: reservations?.nanoCpus,
    MemoryBytes: reservations?.memoryBytes ?? service.memoryReservationBytes,
    GenericResources: reservations?.genericResources.map(({ kind, value }) => ({
      DiscreteResourceSpec: { Kind: kind, Value: value },
    })),
  });
  return {
    ...(limits !== undefined || Object.keys(Limits).length > 0 ? { Limits } : {}),
    ...(reservations !== undefined || Object.keys(Reservations).length > 0 ? { Reservations } : {}),
  };
}

/**
 * `deploy.restart_policy`, or `restart` when there is none.
 * @throws SwarmdError `invalid-argument` for an unknown `restart`.
 */
export function convertRestart(project: Project, service: Service, report: ServiceReport): RestartPolicy | undefined {
  const policy = service.deploy.restartPolicy;
  if (policy !== undefined) {
    if (service.restart !== undefined) report('restart', 'info', 'deploy.restart_policy is used instead');
    return {
      ...omitEmpty({ Condition: policy.condition as RestartPolicy['Condition'] }),
      ...defined({ Delay: policy.delayNs, MaxAttempts: policy.maxAttempts, Window: policy.windowNs }),
    };
  }
  if (service.restart === undefined || service.restart === '') return undefined;
  const [, name, attempts] = /^([a-z-]+)(?::([0-9]+))?$/.exec(service.restart) ?? [];
  const limit = attempts === undefined || attempts === '0' ? {} : { MaxAttempts: Number(attempts) };
  if (name === 'always' || name === 'unless-stopped') return { Condition: 'any', ...limit };
  if (name === 'on-failure') return { Condition: 'on-failure', MaxAttempts: Number(attempts ?? 0) };
  if (name === 'no') {
    report(
      'restart',
      'info',
      'tasks that end are not replaced (docker stack deploy takes "no" for its default: always)',
    );
    return { Condition: 'none' };
  }
  const path = `services.${service.name}.restart`;
  throw composeError(
    path,
    `${service.restart} is none of no, always, on-failure, unless-stopped`,
    project.positions.get(path),
  );
}

/** `deploy.placement`, and `platform`. */
export function convertPlacement(service: Service): Placement {
  const { constraints, spreadOver, maxReplicasPerNode } = service.deploy.placement;
  const [OS = '', Architecture = ''] = service.platform?.split('/') ?? [];
  return omitEmpty({
    Constraints: constraints,
    Preferences: spreadOver.map((SpreadDescriptor) => ({ Spread: { SpreadDescriptor } })),
    MaxReplicas: maxReplicasPerNode,
    Platforms: service.platform === undefined ? [] : [omitEmpty({ Architecture, OS })],
  });
}

/** `ports` and `deploy.endpoint_mode`; a range of published ports becomes a port each, in the order of their numbers. */
export function convertEndpoint(service: Service): EndpointSpec {
  const ports = service.ports.flatMap((port): PortConfig[] => {
    const range = port.published === undefined ? undefined : parsePortRange(port.published);
    const count = range === undefined ? 1 : range.last - range.first + 1;
    return Array.from({ length: count }, (_, index) =>
      omitEmpty({
        Name: port.name,
        Protocol: port.protocol as PortConfig['Protocol'],
        TargetPort: port.target,
        PublishedPort: range === undefined ? undefined : range.first + index,
        PublishMode: port.mode as PortConfig['PublishMode'],
      }),
    );
  });
  ports.sort(
    (a, b) =>
      (a.PublishedPort ?? 0) - (b.PublishedPort ?? 0) ||
      (a.TargetPort ?? 0) - (b.TargetPort ?? 0) ||
      (a.Protocol ?? '').localeCompare(b.Protocol ?? ''),
  );
  return omitEmpty({ Mode: service.deploy.endpointMode as EndpointSpec['Mode'], Ports: ports });
}
