import {
  type ContainerSpec,
  canonicalServiceSpec,
  DRAIN_LABEL,
  drainGraceMs,
  type EndpointSpec,
  isErrorCode,
  isJob,
  labelValue,
  type ServiceSpec,
  ServiceSpecSchema,
  SwarmdError,
  type TaskSpec,
} from '@swarmd/model';
import { parseConstraints } from '../scheduler/constraint.js';
import { invalid, rpcError } from './errors.js';
import { checkDnsName } from './names.js';
import { parseBody } from './parse.js';

const MIN_NANO_CPUS = 1_000_000;
const MIN_MEMORY_BYTES = 4 * 1024 * 1024;
const MIN_HEALTH_NS = 1_000_000;

/** Docker Swarm's words for values that the schema already refuses. */
const WORDS: Readonly<Record<string, string>> = {
  'UpdateConfig.Delay': 'TaskSpec: update-delay cannot be negative',
  'UpdateConfig.Monitor': 'TaskSpec: update-monitor cannot be negative',
  'UpdateConfig.MaxFailureRatio': 'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
  'RollbackConfig.Delay': 'TaskSpec: rollback-delay cannot be negative',
  'RollbackConfig.Monitor': 'TaskSpec: rollback-monitor cannot be negative',
  'RollbackConfig.MaxFailureRatio': 'TaskSpec: rollback-maxfailureratio cannot be less than 0 or bigger than 1',
  'Mode.Replicated.Replicas': 'Number of replicas must be a whole number from 0 to 1000000',
};

/**
 * A service spec from a request body: checked, and in canonical form. What needs the store (names, references, ports
 * of other services) is checked in the transaction. Throws `invalid-argument` naming the field, or `unimplemented`
 * for runtimes other than containers. `expandTemplates` throws when a template in the spec does not expand.
 */
export function parseServiceSpec(body: unknown, expandTemplates: (spec: ServiceSpec) => void): ServiceSpec {
  const spec = canonicalServiceSpec(parseBody(ServiceSpecSchema, body, (path) => WORDS[path]));
  if (spec.Name !== '') checkDnsName(spec.Name ?? '');
  checkTask(spec.TaskTemplate ?? {});
  checkEndpoint(spec.EndpointSpec ?? {});
  if (isJob(spec) && spec.UpdateConfig) throw invalid('Jobs may not have an update policy', 'UpdateConfig');
  if (drainGraceMs(spec) === undefined) {
    const value = labelValue(spec.Labels, DRAIN_LABEL);
    throw invalid(
      `label ${DRAIN_LABEL}: "${value}" is not a time from 0 to 1h, such as 10s or 1m30s`,
      `Labels.${DRAIN_LABEL}`,
    );
  }
  expandTemplates(spec);
  return spec;
}

function checkTask(task: TaskSpec): void {
  checkResources(task.Resources);
  const restart = task.RestartPolicy;
  if ((restart?.Delay ?? 0) < 0) {
    throw invalid('TaskSpec: restart-delay cannot be negative', 'TaskTemplate.RestartPolicy.Delay');
  }
  if ((restart?.Window ?? 0) < 0) {
    throw invalid('TaskSpec: restart-window cannot be negative', 'TaskTemplate.RestartPolicy.Window');
  }
  checkConstraints(task.Placement?.Constraints ?? []);
  if (task.Runtime !== 'container') {
    const runtime = task.Runtime ?? '';
    throw rpcError(
      'unimplemented',
      `RuntimeSpec: unimplemented runtime '${runtime}' in service spec: only 'container' is supported`,
      'TaskTemplate.Runtime',
    );
  }
  if (!task.ContainerSpec) throw invalid('TaskSpec: missing runtime', 'TaskTemplate.ContainerSpec');
  checkContainer(task.ContainerSpec);
  checkAliases(task.Networks ?? []);
}

/** What can stand in a question to a name server. */
const ALIAS =
  /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*$/;

function checkAliases(networks: NonNullable<TaskSpec['Networks']>): void {
  for (const alias of networks.flatMap(({ Aliases }) => Aliases ?? [])) {
    if (ALIAS.test(alias)) continue;
    const allowed = 'letters, digits, hyphens and underscores, at most 63 between dots';
    throw invalid(`invalid network alias "${alias}": allowed are ${allowed}`, 'TaskTemplate.Networks');
  }
}

function checkResources(resources: TaskSpec['Resources']): void {
  for (const part of ['Limits', 'Reservations'] as const) {
    const { NanoCPUs = 0, MemoryBytes = 0 } = resources?.[part] ?? {};
    const field = `TaskTemplate.Resources.${part}`;
    if (NanoCPUs !== 0 && NanoCPUs < MIN_NANO_CPUS) {
      throw invalid(
        `invalid cpu value ${NanoCPUs / 1e9}: Must be at least ${MIN_NANO_CPUS / 1e9}`,
        `${field}.NanoCPUs`,
      );
    }
    if (MemoryBytes !== 0 && MemoryBytes < MIN_MEMORY_BYTES) {
      throw invalid(`invalid memory value ${MemoryBytes}: Must be at least 4MiB`, `${field}.MemoryBytes`);
    }
  }
  for (const generic of resources?.Reservations?.GenericResources ?? []) {
    const field = 'TaskTemplate.Resources.Reservations.GenericResources';
    if (generic.NamedResourceSpec) {
      const { Kind, Value } = generic.NamedResourceSpec;
      throw invalid(`generic resource ${Kind}=${Value}: only a number of a kind can be reserved`, field);
    }
    const { Kind = '', Value = 0 } = generic.DiscreteResourceSpec ?? {};
    if (Kind === '') throw invalid('generic resource: a kind must be given', field);
    if (!Number.isInteger(Value) || Value < 0) {
      throw invalid(`generic resource ${Kind}: the number must be whole and not negative, not ${Value}`, field);
    }
  }
}

function checkConstraints(constraints: readonly string[]): void {
  try {
    parseConstraints(constraints);
  } catch (thrown) {
    if (isErrorCode(thrown, 'invalid-argument')) throw invalid(thrown.message, 'TaskTemplate.Placement.Constraints');
    throw thrown;
  }
}

const PATH_PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const HOST_PART = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const IMAGE = new RegExp(
  `^(?:(?:${HOST_PART}(?:\\.${HOST_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?/)?${PATH_PART}(?:/${PATH_PART})*` +
    '(?::[\\w][\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$',
);

/** None at all is a bind mount, as in Docker. */
const MOUNT_TYPES: readonly string[] = ['', 'bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image'];

function checkContainer(container: ContainerSpec): void {
  const field = 'TaskTemplate.ContainerSpec';
  const image = container.Image ?? '';
  if (image === '') throw invalid('ContainerSpec: image reference must be provided', `${field}.Image`);
  if (!IMAGE.test(image)) throw invalid(`ContainerSpec: "${image}" is not a valid repository/tag`, `${field}.Image`);
  const targets = new Set<string>();
  for (const { Type = '', Target = '' } of container.Mounts ?? []) {
    if (!MOUNT_TYPES.includes(Type.toLowerCase())) {
      throw new SwarmdError('invalid-argument', `invalid MountType: "${Type}"`, { field: `${field}.Mounts` });
    }
    if (targets.has(Target)) throw invalid(`ContainerSpec: duplicate mount point: ${Target}`, `${field}.Mounts`);
    targets.add(Target);
  }
  if ((container.StopGracePeriod ?? 0) < 0) {
    throw invalid('ContainerSpec: StopGracePeriod cannot be negative', `${field}.StopGracePeriod`);
  }
  checkHealth(container.Healthcheck);
}

function checkHealth(health: ContainerSpec['Healthcheck']): void {
  for (const key of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health?.[key] ?? 0;
    if (value !== 0 && value < MIN_HEALTH_NS) {
      throw invalid(
        `ContainerSpec: ${key} in HealthConfig cannot be less than 1ms`,
        `TaskTemplate.ContainerSpec.Healthcheck.${key}`,
      );
    }
  }
  if ((health?.Retries ?? 0) < 0) {
    throw invalid(
      'ContainerSpec: Retries in HealthConfig cannot be negative',
      'TaskTemplate.ContainerSpec.Healthcheck.Retries',
    );
  }
}

function checkEndpoint(endpoint: EndpointSpec): void {
  const seen = new Set<string>();
  for (const port of endpoint.Ports ?? []) {
    const field = 'EndpointSpec.Ports';
    if (endpoint.Mode === 'dnsrr' && port.PublishMode === 'ingress') {
      throw invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode", field);
    }
    if (!port.TargetPort) throw invalid('EndpointSpec: a target port must be provided', field);
    if (!port.PublishedPort) continue;
    const key = `${port.PublishedPort}/${port.Protocol}`;
    if (seen.has(key)) throw invalid(`EndpointSpec: duplicate published ports provided: ${key}`, field);
    seen.add(key);
  }
}
