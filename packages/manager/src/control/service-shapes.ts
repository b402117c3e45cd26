import {
  type ApiObject,
  DEFAULTS,
  modeName,
  NS_PER_MS,
  type ReadView,
  type Service,
  type ServiceSpec,
  type Task,
} from '@swarmd/model';

/** A service in the API's JSON. Credentials and bookkeeping of ours stay inside. */
export function serviceToApi(service: Service, spec: ServiceSpec = service.Spec): ApiObject {
  const { ID, Version, CreatedAt, UpdatedAt, PreviousSpec, Endpoint, UpdateStatus, JobStatus } = service;
  const iteration = JobStatus?.JobIteration.Index ?? 0;
  return {
    ID,
    Version,
    CreatedAt,
    UpdatedAt,
    Spec: spec,
    ...(PreviousSpec ? { PreviousSpec } : {}),
    Endpoint: Endpoint ?? { Spec: {} },
    ...(UpdateStatus ? { UpdateStatus } : {}),
    ...(JobStatus
      ? {
          JobStatus: {
            JobIteration: iteration === 0 ? {} : { Index: iteration },
            ...(JobStatus.LastExecution ? { LastExecution: JobStatus.LastExecution } : {}),
          },
        }
      : {}),
  };
}

const DEFAULT_UPDATE = {
  Parallelism: DEFAULTS.updateParallelism,
  FailureAction: 'pause',
  Monitor: DEFAULTS.updateMonitorMs * NS_PER_MS,
  MaxFailureRatio: DEFAULTS.updateMaxFailureRatio,
  Order: 'stop-first',
} as const;

/** A spec with Docker's defaults written out, as `?insertDefaults=true` asks (swarmkit `defaults.InterpolateService`). */
export function withDefaults(spec: ServiceSpec): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  const monitor = { Monitor: DEFAULT_UPDATE.Monitor };
  const delay = { Delay: DEFAULTS.restartDelayMs * NS_PER_MS };
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ...(task.ContainerSpec
        ? {
            ContainerSpec: {
              StopGracePeriod: DEFAULTS.stopGracePeriodMs * NS_PER_MS,
              DNSConfig: {},
              ...task.ContainerSpec,
            },
          }
        : {}),
      Resources: task.Resources ?? {},
      RestartPolicy: { Condition: 'any', ...delay, MaxAttempts: 0, ...task.RestartPolicy },
      Placement: task.Placement ?? {},
    },
    UpdateConfig: spec.UpdateConfig ? { ...monitor, ...spec.UpdateConfig } : DEFAULT_UPDATE,
    RollbackConfig: spec.RollbackConfig ? { ...monitor, ...spec.RollbackConfig } : DEFAULT_UPDATE,
  };
}

/** How far a service is: what `docker service ls` shows as replicas. */
export interface ServiceStatus {
  RunningTasks: number;
  DesiredTasks: number;
  CompletedTasks: number;
}

/** Counts a service's tasks as swarmkit's `ListServiceStatuses` does; of a job only the present iteration counts. */
export function serviceStatus(view: ReadView, service: Service): ServiceStatus {
  const mode = modeName(service.Spec);
  const global = mode === 'global' || mode === 'global-job';
  const status: ServiceStatus = { RunningTasks: 0, DesiredTasks: 0, CompletedTasks: 0 };
  if (mode === 'replicated') status.DesiredTasks = service.Spec.Mode?.Replicated?.Replicas ?? 1;
  if (mode === 'replicated-job') status.DesiredTasks = service.Spec.Mode?.ReplicatedJob?.MaxConcurrent ?? 1;
  for (const task of view.find('task', 'service', service.ID)) {
    if (!ofThisIteration(task, service)) continue;
    // A job's tasks that are through count as completed alone: clients add the two.
    const awaited = task.DesiredState === 'complete' && task.Status.State !== 'complete';
    if (global && (task.DesiredState === 'running' || awaited)) status.DesiredTasks++;
    if (task.Status.State === 'running') status.RunningTasks++;
    if (task.Status.State === 'complete') status.CompletedTasks++;
  }
  return status;
}

function ofThisIteration(task: Task, service: Service): boolean {
  if (service.JobStatus === undefined) return true;
  return (task.JobIteration?.Index ?? 0) === service.JobStatus.JobIteration.Index;
}
