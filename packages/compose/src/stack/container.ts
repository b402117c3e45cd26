import type { ContainerSpec } from '@swarmd/model';
import { defined } from '../project/reader.js';
import type { Healthcheck, Project, Service } from '../project/types.js';
import { effectiveCapabilities } from './capabilities.js';
import { familiarImage } from './image.js';
import { convertMounts } from './mounts.js';
import { omitEmpty, sortedBy, stackLabels } from './namespace.js';
import { configName, convertConfigGrants, convertSecretGrants } from './objects.js';
import type { ServiceReport } from './report.js';

/** What a service says of its containers. Secrets and configs are referred to by name, with empty IDs. */
export function convertContainer(
  project: Project,
  service: Service,
  namespace: string,
  report: ServiceReport,
): ContainerSpec {
  const capabilities = effectiveCapabilities(service.capAdd, service.capDrop);
  return {
    ...omitEmpty({
      Image: familiarImage(service.image ?? ''),
      Labels: stackLabels(namespace, service.labels),
      Command: service.entrypoint,
      Args: service.command,
      Hostname: service.hostname,
      Env: convertEnvironment(service.environment),
      Dir: service.workingDir,
      User: service.user,
      Groups: service.groupAdd,
      StopSignal: service.stopSignal,
      TTY: service.tty,
      OpenStdin: service.stdinOpen,
      ReadOnly: service.readOnly,
      Mounts: convertMounts(project, service, namespace, report),
      Hosts: service.extraHosts.map(convertHost),
      DNSConfig: omitEmpty({ Nameservers: service.dns, Search: service.dnsSearch, Options: service.dnsOptions }),
      Secrets: convertSecretGrants(project, service, namespace),
      Configs: convertConfigGrants(project, service, namespace),
      Isolation: service.isolation,
      Sysctls: service.sysctls,
      CapabilityAdd: capabilities.add,
      CapabilityDrop: capabilities.drop,
      Ulimits: sortedBy(
        Object.entries(service.ulimits).map(([Name, { soft, hard }]) => ({ Name, Hard: hard, Soft: soft })),
        (limit) => limit.Name,
      ),
      OomScoreAdj: service.oomScoreAdj,
    }),
    Privileges: convertPrivileges(project, service, namespace, report),
    ...defined({
      StopGracePeriod: service.stopGracePeriodNs,
      Init: service.init,
      Healthcheck: service.healthcheck === undefined ? undefined : convertHealthcheck(service.healthcheck),
    }),
  };
}

function convertEnvironment(environment: Service['environment']): string[] {
  return Object.entries(environment)
    .map(([name, value]) => (value === null ? name : `${name}=${value}`))
    .sort();
}

/** `host:address` → `address host`, the order of /etc/hosts. */
function convertHost(entry: string): string {
  const colon = entry.indexOf(':');
  return `${entry.slice(colon + 1)} ${entry.slice(0, colon)}`;
}

function convertHealthcheck(check: Healthcheck): ContainerSpec['Healthcheck'] {
  if (check.disable) return { Test: ['NONE'] };
  return omitEmpty({
    Test: check.test,
    Interval: check.intervalNs,
    Timeout: check.timeoutNs,
    StartPeriod: check.startPeriodNs,
    StartInterval: check.startIntervalNs,
    Retries: check.retries,
  });
}

/** Docker's Privileges. A credential spec's `Config` is the config's name until the deploy looks up its ID. */
function convertPrivileges(
  project: Project,
  service: Service,
  namespace: string,
  report: ServiceReport,
): NonNullable<ContainerSpec['Privileges']> {
  const spec = service.credentialSpec;
  const credentials =
    spec === undefined
      ? null
      : {
          Config: spec.config === undefined ? '' : configName(project, spec.config, namespace),
          File: spec.file ?? '',
          Registry: spec.registry ?? '',
        };
  const privileges = { CredentialSpec: credentials, SELinuxContext: null, NoNewPrivileges: false };
  const options = service.securityOptions.map((option) => securityOption(option, report));
  return Object.assign(privileges, ...options);
}

/** The part of Docker's Privileges that a `security_opt` sets; what a service cannot say is reported. */
function securityOption(option: string, report: ServiceReport): object {
  const [, name, value] = /^([a-z-]+)(?:[=:](.*))?$/.exec(option) ?? [];
  if (name === 'no-new-privileges' && value !== 'false') return { NoNewPrivileges: true };
  if (name === 'no-new-privileges') return { NoNewPrivileges: false };
  if (name === 'seccomp' && value === 'unconfined') return { Seccomp: { Mode: 'unconfined' } };
  if (name === 'apparmor' && (value === 'unconfined' || value === 'disabled'))
    return { AppArmor: { Mode: 'disabled' } };
  report('security_opt', 'warning', `${option} is not supported by services of a cluster`);
  return {};
}
