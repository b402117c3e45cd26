import { SwarmdError } from '../errors.js';
import type { ContainerSpec } from './container-spec.js';
import type {
  EndpointSpec,
  NetworkAttachmentConfig,
  PortConfig,
  RestartPolicy,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from './service.js';

/**
 * The canonical form of a service spec: one spelling for each meaning, so that two requests that mean the same are
 * stored the same and no loop ever rolls a service because a client wrote `null`, `[]` or nothing. Defaults that
 * Docker makes visible are filled in (mode, endpoint mode, isolation, port protocol); others stay out of the spec.
 * `Networks` at the top level moves into the task template. Throws `invalid-argument` when the mode is not one.
 */
export function canonicalServiceSpec(spec: ServiceSpec): ServiceSpec {
  const { Networks, UpdateConfig, RollbackConfig, EndpointSpec, Mode, TaskTemplate, Labels, Name, ...rest } =
    withoutEmpty(spec) as ServiceSpec;
  const update = UpdateConfig ? { UpdateConfig: canonicalUpdate(UpdateConfig) } : {};
  const rollback = RollbackConfig ? { RollbackConfig: canonicalUpdate(RollbackConfig) } : {};
  return {
    Name: Name ?? '',
    Labels: Labels ?? {},
    TaskTemplate: canonicalTask(TaskTemplate ?? {}, Networks),
    Mode: canonicalMode(Mode),
    ...update,
    ...rollback,
    EndpointSpec: canonicalEndpoint(EndpointSpec),
    ...rest,
  };
}

/** `value` without nulls, undefined and empty arrays, all the way down. Empty objects and strings stay: they can mean something. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (value === null || typeof value !== 'object') return value;
  const result: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === null || member === undefined || (Array.isArray(member) && member.length === 0)) continue;
    result[key] = withoutEmpty(member);
  }
  return result;
}

/** `object` without the listed members when they say nothing: '', 0, false or an empty object. */
function dropZero<O extends object>(object: O, keys: readonly (keyof O)[]): O {
  const result = { ...object };
  for (const key of keys) {
    const value = result[key] as unknown;
    const emptyObject = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    if (value === '' || value === 0 || value === false || emptyObject) delete result[key];
  }
  return result;
}

function canonicalTask(task: TaskSpec, serviceNetworks: NetworkAttachmentConfig[] | null | undefined): TaskSpec {
  const { ContainerSpec, RestartPolicy, Placement, ForceUpdate, Runtime, Networks, ...rest } = task;
  const networks = Networks ?? serviceNetworks ?? undefined;
  return {
    ...(ContainerSpec ? { ContainerSpec: canonicalContainer(ContainerSpec) } : {}),
    ...rest,
    ...(RestartPolicy ? { RestartPolicy: canonicalRestart(RestartPolicy) } : {}),
    ...(Placement ? { Placement: dropZero(Placement, ['MaxReplicas']) } : {}),
    ...(networks ? { Networks: networks } : {}),
    ForceUpdate: ForceUpdate ?? 0,
    Runtime: Runtime || 'container',
  };
}

function canonicalContainer(container: ContainerSpec): ContainerSpec {
  return {
    ...dropZero(container, [
      'Hostname',
      'Dir',
      'User',
      'StopSignal',
      'TTY',
      'OpenStdin',
      'ReadOnly',
      'Labels',
      'Sysctls',
      'OomScoreAdj',
    ]),
    Isolation: container.Isolation || 'default',
  };
}

function canonicalRestart(policy: RestartPolicy): RestartPolicy {
  return { ...policy, Condition: policy.Condition || 'any', MaxAttempts: policy.MaxAttempts ?? 0 };
}

function canonicalUpdate(config: UpdateConfig): UpdateConfig {
  return {
    ...dropZero(config, ['Delay']),
    Parallelism: config.Parallelism ?? 0,
    FailureAction: config.FailureAction || 'pause',
    MaxFailureRatio: config.MaxFailureRatio ?? 0,
    Order: config.Order || 'stop-first',
  };
}

function canonicalEndpoint(endpoint: EndpointSpec | null | undefined): EndpointSpec {
  const { Mode, Ports, ...rest } = endpoint ?? {};
  return { Mode: Mode || 'vip', ...(Ports ? { Ports: Ports.map(canonicalPort) } : {}), ...rest };
}

function canonicalPort(port: PortConfig): PortConfig {
  return {
    ...dropZero(port, ['Name', 'PublishedPort']),
    Protocol: port.Protocol ?? 'tcp',
    PublishMode: port.PublishMode || 'ingress',
  };
}

function canonicalMode(mode: ServiceMode | undefined): ServiceMode {
  const given = Object.keys(mode ?? {});
  if (mode === undefined || given.length === 0) return { Replicated: { Replicas: 1 } };
  if (given.length > 1) throw invalidMode(`must specify only one service mode, not ${given.join(' and ')}`);
  if (mode.Replicated) return { Replicated: { ...mode.Replicated, Replicas: mode.Replicated.Replicas ?? 1 } };
  if (mode.Global) return { Global: {} };
  if (mode.GlobalJob) return { GlobalJob: {} };
  if (mode.ReplicatedJob) {
    const MaxConcurrent = mode.ReplicatedJob.MaxConcurrent ?? 1;
    const TotalCompletions = mode.ReplicatedJob.TotalCompletions ?? MaxConcurrent;
    return { ReplicatedJob: { ...mode.ReplicatedJob, MaxConcurrent, TotalCompletions } };
  }
  throw invalidMode(`Unrecognized service mode ${given[0]}: use Replicated, Global, ReplicatedJob or GlobalJob`);
}

function invalidMode(message: string): SwarmdError {
  return new SwarmdError('invalid-argument', message, { rpc: true, field: 'Mode' });
}

/** The name of the one mode that a canonical spec has. */
export function modeName(spec: ServiceSpec): 'replicated' | 'global' | 'replicated-job' | 'global-job' {
  if (spec.Mode?.Global) return 'global';
  if (spec.Mode?.ReplicatedJob) return 'replicated-job';
  if (spec.Mode?.GlobalJob) return 'global-job';
  return 'replicated';
}

/** Whether a service runs its tasks to completion. */
export function isJob(spec: ServiceSpec): boolean {
  return modeName(spec).endsWith('-job');
}
