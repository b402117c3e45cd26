import type { ContainerSpec, UpdateConfig } from '@swarmd/model';
import type { ApiService } from '../../client/api-types.js';
import { labelLines, sortedPairs } from '../../output/pretty.js';
import { formatDurationNs, humanDuration } from '../../text/durations.js';
import { formatBytes } from '../../text/quantities.js';

/** A service in the docker CLI's human form; `networks` are names by ID, `now` milliseconds since the epoch. */
export function describeService(service: ApiService, networks: ReadonlyMap<string, string>, now: number): string {
  const { Spec } = service;
  const task = Spec.TaskTemplate ?? {};
  const container = task.ContainerSpec ?? {};
  return [
    '',
    `ID:\t\t${service.ID}`,
    `Name:\t\t${Spec.Name ?? ''}`,
    ...labelLines('Labels:', Spec.Labels, ' '),
    ...modeLines(service),
    ...updateStatusLines(service, now),
    ...placementLines(service),
    ...rolloutLines('UpdateConfig', Spec.UpdateConfig, 'Update order:      '),
    ...rolloutLines('RollbackConfig', Spec.RollbackConfig, 'Rollback order:    '),
    ...processLines(container),
    ...privilegeLines(container),
    ...attachmentLines(container),
    ...logLines(service),
    ...resourceLines(service),
    ...(task.Networks?.length
      ? [`Networks:${task.Networks.map(({ Target = '' }) => ` ${networks.get(Target) ?? Target}`).join('')} `]
      : []),
    `Endpoint Mode:\t${Spec.EndpointSpec?.Mode ?? ''}`,
    ...portLines(service),
    ...healthLines(container),
    '',
  ].join('\n');
}

/** Lists in templates print as Go prints slices. */
function goList(items: readonly string[]): string {
  return `[${items.join(' ')}]`;
}

function modeLines({ Spec }: ApiService): string[] {
  const { Global, Replicated } = Spec.Mode ?? {};
  if (Global != null) return ['Service Mode:\tGlobal'];
  if (Replicated == null) return ['Service Mode:'];
  return ['Service Mode:\tReplicated', ...(Replicated.Replicas == null ? [] : [` Replicas:\t${Replicated.Replicas}`])];
}

function updateStatusLines({ UpdateStatus }: ApiService, now: number): string[] {
  if (!UpdateStatus?.State) return [];
  const ago = (time: string): string => `${humanDuration(now - Date.parse(time))} ago`;
  const { State, StartedAt, CompletedAt, Message = '' } = UpdateStatus;
  return [
    'UpdateStatus:',
    ` State:\t\t${State}`,
    ...(StartedAt ? [` Started:\t${ago(StartedAt)}`] : []),
    ...(State === 'completed' && CompletedAt ? [` Completed:\t${ago(CompletedAt)}`] : []),
    ` Message:\t${Message}`,
  ];
}

function placementLines({ Spec }: ApiService): string[] {
  const { Constraints, Preferences, MaxReplicas = 0 } = Spec.TaskTemplate?.Placement ?? {};
  const spread = (Preferences ?? []).flatMap(({ Spread }) => (Spread ? [`spread=${Spread.SpreadDescriptor}`] : []));
  return [
    'Placement:',
    ...(Constraints?.length ? [` Constraints:\t${goList(Constraints)}`] : []),
    ...(spread.length > 0 ? [` Preferences:   ${goList(spread)}`] : []),
    ...(MaxReplicas > 0 ? [` Max Replicas Per Node:   ${MaxReplicas}`] : []),
  ];
}

function rolloutLines(title: string, config: UpdateConfig | null | undefined, orderLabel: string): string[] {
  if (config == null) return [];
  const { Parallelism = 0, Delay = 0, FailureAction = '', Monitor = 0, MaxFailureRatio = 0, Order = '' } = config;
  return [
    `${title}:`,
    ` Parallelism:\t${Parallelism}`,
    ...(Delay > 0 ? [` Delay:\t\t${formatDurationNs(Delay)}`] : []),
    ` On failure:\t${FailureAction}`,
    ...(Monitor > 0 ? [` Monitoring Period: ${formatDurationNs(Monitor)}`] : []),
    ` Max failure ratio: ${MaxFailureRatio}`,
    ` ${orderLabel}${Order}`,
  ];
}

function processLines(container: ContainerSpec): string[] {
  const { Image = '', Args, Env, Dir, Init, User } = container;
  const spaced = (items: readonly string[]): string => items.map((item) => `${item} `).join('');
  return [
    'ContainerSpec:',
    ` Image:\t\t${Image}`,
    ...(Args?.length ? [` Args:\t\t${spaced(Args)}`] : []),
    ...(Env?.length ? [` Env:\t\t${spaced(Env)}`] : []),
    ...(Dir ? [` Dir:\t\t${Dir}`] : []),
    ...(Init == null ? [] : [` Init:\t\t${Init}`]),
    ...(User ? [` User: ${User}`] : []),
  ];
}

function privilegeLines({ CapabilityAdd, CapabilityDrop, Sysctls, Ulimits }: ContainerSpec): string[] {
  const sysctls = sortedPairs(Sysctls);
  const capabilities = [
    ...(CapabilityAdd?.length ? [` Add: ${CapabilityAdd.join(', ')}`] : []),
    ...(CapabilityDrop?.length ? [` Drop: ${CapabilityDrop.join(', ')}`] : []),
  ];
  const limits = (Ulimits ?? []).toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
  return [
    ...(capabilities.length > 0 ? ['Capabilities:', ...capabilities] : []),
    ...(sysctls.length > 0
      ? ['SysCtls:', ...sysctls.map(([key, value]) => ` ${key}${value === '' ? '' : `: ${value}`}`)]
      : []),
    ...(limits.length > 0 ? ['Ulimits:', ...limits.map(({ Name, Soft, Hard }) => ` ${Name}: ${Soft}:${Hard}`)] : []),
  ];
}

function attachmentLines({ Mounts, Configs, Secrets }: ContainerSpec): string[] {
  const pair = (target: string | undefined, source: string): string[] => [
    ` Target:\t${target ?? ''}`,
    `  Source:\t${source}`,
  ];
  return [
    ...(Mounts?.length ? ['Mounts:'] : []),
    ...(Mounts ?? []).flatMap(({ Target, Source = '', ReadOnly = false, Type = '' }) => [
      ...pair(Target, Source),
      `  ReadOnly:\t${ReadOnly}`,
      `  Type:\t\t${Type}`,
    ]),
    ...(Configs?.length ? ['Configs:'] : []),
    ...(Configs ?? []).flatMap(({ File, ConfigName }) => pair(File?.Name, ConfigName)),
    ...(Secrets?.length ? ['Secrets:'] : []),
    ...(Secrets ?? []).flatMap(({ File, SecretName }) => pair(File?.Name, SecretName)),
  ];
}

function logLines({ Spec }: ApiService): string[] {
  const driver = Spec.TaskTemplate?.LogDriver;
  if (driver == null) return [];
  const options = sortedPairs(driver.Options).map(
    ([key, value]) => `  ${key}${value === '' ? '' : `:       ${value}`}`,
  );
  return [
    'Log Driver:',
    ...(driver.Name ? [` Name:\t\t${driver.Name}`] : []),
    ...(options.length > 0 ? [' LogOpts:', ...options] : []),
    '',
  ];
}

function resourceLines({ Spec }: ApiService): string[] {
  const { Limits, Reservations } = Spec.TaskTemplate?.Resources ?? {};
  const amounts = (part: { NanoCPUs?: number | undefined; MemoryBytes?: number | undefined }): string[] => [
    ...(part.NanoCPUs ? [`  CPU:\t\t${part.NanoCPUs / 1e9}`] : []),
    ...(part.MemoryBytes ? [`  Memory:\t${formatBytes(part.MemoryBytes)}`] : []),
  ];
  const reserved = amounts(Reservations ?? {});
  const limited = amounts(Limits ?? {});
  const pids = Limits?.Pids ?? 0;
  return [
    ...(Spec.TaskTemplate?.Resources == null ? [] : ['Resources:']),
    ...(reserved.length > 0 ? [' Reservations:', ...reserved] : []),
    ...(limited.length > 0 || pids > 0 ? [' Limits:', ...limited] : []),
    ...(pids > 0 ? [`  PIDs:\t\t${pids}`] : []),
  ];
}

function portLines({ Endpoint }: ApiService): string[] {
  const ports = Endpoint?.Ports ?? [];
  if (ports.length === 0) return [];
  const lines = ports.flatMap(({ PublishedPort = 0, Protocol = '', TargetPort = 0, PublishMode = '' }) => [
    ` PublishedPort = ${PublishedPort}`,
    `  Protocol = ${Protocol}`,
    `  TargetPort = ${TargetPort}`,
    `  PublishMode = ${PublishMode}`,
  ]);
  return ['Ports:', ...lines.slice(0, -1), `${lines.at(-1)} `];
}

function healthLines({ Healthcheck }: ContainerSpec): string[] {
  if (Healthcheck == null) return [];
  const { Interval = 0, Retries = 0, StartPeriod = 0, Timeout = 0, Test } = Healthcheck;
  return [
    ' Healthcheck:',
    `  Interval = ${formatDurationNs(Interval)}`,
    `  Retries = ${Retries}`,
    `  StartPeriod =\t${formatDurationNs(StartPeriod)}`,
    `  Timeout =\t${formatDurationNs(Timeout)}`,
    ...(Test?.length ? [`  Tests:${Test.map((test) => `\n\t Test = ${test}`).join('')} `] : []),
  ];
}
