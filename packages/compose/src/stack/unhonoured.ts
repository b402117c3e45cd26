import type { Severity } from '../problem.js';
import type { Service } from '../project/types.js';
import type { Plain } from '../syntax/tree.js';
import type { ServiceReport } from './report.js';

const ENGINE_ONLY = 'a service of a cluster has no such setting';

/** Keys of the specification that a service cannot honour, and why. A key is in here or it changes the service's spec. */
const UNHONOURED: Readonly<Record<string, readonly [Severity, string]>> = {
  annotations: ['warning', `OCI annotations are not passed on: ${ENGINE_ONLY}`],
  attach: ['info', 'the output of a stack is read with service logs'],
  blkio_config: ['warning', `block I/O is not limited: ${ENGINE_ONLY}`],
  cgroup: ['warning', `the engine chooses the cgroup namespace: ${ENGINE_ONLY}`],
  cgroup_parent: ['warning', `the engine chooses the parent cgroup: ${ENGINE_ONLY}`],
  container_name: ['warning', 'containers are named SERVICE.SLOT.TASK: several may run'],
  cpu_count: ['warning', 'not limited; use deploy.resources.limits.cpus'],
  cpu_percent: ['warning', 'not limited; use deploy.resources.limits.cpus'],
  cpu_period: ['warning', 'not limited; use deploy.resources.limits.cpus'],
  cpu_quota: ['warning', 'not limited; use deploy.resources.limits.cpus'],
  cpu_rt_period: ['warning', `no real-time scheduling: ${ENGINE_ONLY}`],
  cpu_rt_runtime: ['warning', `no real-time scheduling: ${ENGINE_ONLY}`],
  cpu_shares: ['warning', 'not weighted; use deploy.resources'],
  cpuset: ['warning', `not pinned to cores: ${ENGINE_ONLY}`],
  develop: ['info', 'only for development on one machine'],
  device_cgroup_rules: ['warning', `devices cannot be given to tasks: ${ENGINE_ONLY}`],
  devices: ['warning', `devices cannot be given to tasks: ${ENGINE_ONLY}`],
  domainname: ['warning', `containers have no domain name: ${ENGINE_ONLY}`],
  expose: ['info', 'without effect: services of a network reach every port of each other'],
  external_links: ['warning', 'no links; put both on one network and use the name there'],
  gpus: ['warning', 'GPUs are not reserved; use deploy.resources.reservations.generic_resources'],
  ipc: ['warning', `containers keep their own IPC namespace: ${ENGINE_ONLY}`],
  links: ['warning', 'no links; services of a network reach each other by name, further names are networks.*.aliases'],
  mac_address: ['warning', 'addresses are chosen by the cluster: several tasks may run'],
  mem_swappiness: ['warning', `swapping is not tuned: ${ENGINE_ONLY}`],
  memswap_limit: ['warning', `swap is not limited: ${ENGINE_ONLY}`],
  models: ['error', 'there are no language models in a cluster: the variables for them stay unset'],
  oom_kill_disable: ['warning', `the OOM killer stays on: ${ENGINE_ONLY}`],
  pid: ['warning', `containers keep their own PID namespace: ${ENGINE_ONLY}`],
  post_start: ['warning', 'hooks do not run'],
  pre_stop: ['warning', 'hooks do not run'],
  privileged: ['warning', 'containers run without extended privileges; use cap_add'],
  provider: ['error', 'a service from a provider cannot run in a cluster'],
  pull_policy: ['warning', 'each node pulls what it lacks; the digest is fixed at deploy'],
  pull_refresh_after: ['warning', 'each node pulls what it lacks; the digest is fixed at deploy'],
  runtime: ['warning', 'containers run on the default runtime of their engine'],
  shm_size: ['warning', '/dev/shm keeps its 64 MiB; mount a tmpfs there'],
  storage_opt: ['warning', `no storage options: ${ENGINE_ONLY}`],
  use_api_socket: ['error', 'the API socket is not mounted; a bind mount must say so'],
  userns_mode: ['warning', `the engine chooses the user namespace: ${ENGINE_ONLY}`],
  uts: ['warning', `containers keep their own host name: ${ENGINE_ONLY}`],
  volumes_from: ['error', 'containers of other services may run elsewhere; share a named volume'],
};

/** Reports every key of `service` that its spec cannot hold. Settings that are off (`privileged: false`) are not mentioned. */
export function reportUnhonoured(service: Service, report: ServiceReport): void {
  for (const [key, value] of Object.entries(service.other)) {
    if (key.startsWith('x-') || isOff(value)) continue;
    if (key === 'build') reportBuild(service, report);
    else {
      const [severity, message] = UNHONOURED[key] ?? ['warning', 'not supported by services of a cluster'];
      report(key, severity, message);
    }
  }
  if (Object.keys(service.dependsOn).length > 0) {
    report(
      'depends_on',
      'warning',
      'start order is not kept: services start at once and restart until what they need is there',
    );
  }
  if ((service.deploy.reservations?.devices.length ?? 0) > 0) {
    report('deploy.resources.reservations.devices', 'warning', 'devices are not reserved; use generic_resources');
  }
  reportNetworking(service, report);
}

function isOff(value: Plain): boolean {
  if (value === null || value === false || value === 'false' || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function reportBuild(service: Service, report: ServiceReport): void {
  if (service.image !== undefined) {
    report(
      'build',
      'warning',
      `not built here: nodes need the image ${service.image} ready, from a registry or their own`,
    );
  } else report('build', 'error', 'not built here: build it, push it, and name it with image');
}

function reportNetworking(service: Service, report: ServiceReport): void {
  if (service.networkMode === 'none')
    report('network_mode', 'error', 'not supported: the service would be on a network');
  else if (service.networkMode === 'bridge') {
    report('network_mode', 'info', "the service joins the stack's default network instead of the engine's bridge");
  } else if (service.networkMode !== undefined) {
    const host = service.networkMode === 'host' ? '; use an external network named host' : '';
    report('network_mode', 'warning', `not supported: the service joins the stack's default network${host}`);
  }
  for (const [name, membership] of Object.entries(service.networks)) {
    for (const key of Object.keys(membership.other)) {
      report(`networks.${name}.${key}`, 'warning', 'not supported: addresses belong to tasks, and several may run');
    }
  }
  for (const port of service.ports) {
    if (port.appProtocol !== undefined) report('ports', 'info', `app_protocol ${port.appProtocol} is without effect`);
    if (port.hostIp !== undefined && !['', '0.0.0.0', '::'].includes(port.hostIp)) {
      const number = port.published ?? 'a free port';
      const message = `${number} would be open on every address of the nodes, not on ${port.hostIp} alone: published ports of services have no host address`;
      report('ports', 'error', message);
    }
  }
}
