import { type ContainerSpec, type Driver, durationMs, SwarmdError, type TaskSpec } from '@swarmd/model';
import type Docker from 'dockerode';
import { NETWORKS_LABEL } from '../labels.js';
import { withDefaultTag } from './image-reference.js';
import { convertMounts } from './mounts.js';
import { containerLabels, containerName } from './names.js';
import { convertNetworks } from './networks.js';
import { convertPorts } from './ports.js';
import { convertPrivileges } from './privileges.js';
import type { ContainerRequest, ConversionInput } from './request.js';
import { convertResources, genericResourceEnv } from './resources.js';

/**
 * The container that a task's spec asks for (Docker's ContainerSpec, as moby's swarm executor reads it). Throws
 * `invalid-argument` for a spec that no engine could run and `unimplemented` for what this node's cannot.
 */
export function toContainerRequest(
  input: ConversionInput,
  credentialSpec?: (configId: string) => string | undefined,
): ContainerRequest {
  const template = input.spec.TaskTemplate;
  const spec = template?.ContainerSpec;
  if (!template || !spec) throw new SwarmdError('unimplemented', 'only tasks that run a container are supported');
  if (!spec.Image) {
    throw new SwarmdError('invalid-argument', 'an image is required', { field: 'TaskTemplate.ContainerSpec.Image' });
  }
  const ports = convertPorts(input.ports);
  const { NetworkMode, EndpointsConfig, connect } = convertNetworks(input.networks, input.node.apiVersion);
  const body: Docker.ContainerCreateOptions = {
    ...commandOf(spec),
    ...identityOf(spec),
    Image: withDefaultTag(spec.Image),
    Env: [...(spec.Env ?? []), ...genericResourceEnv(input.assignment.genericResources)],
    Labels: {
      ...containerLabels(input.assignment, input.spec, input.node),
      ...(connect.length > 0 ? { [NETWORKS_LABEL]: String(input.networks.length) } : {}),
    },
    ExposedPorts: ports.ExposedPorts,
    ...(spec.Healthcheck ? { Healthcheck: spec.Healthcheck as NonNullable<Docker.HealthConfig> } : {}),
    HostConfig: {
      ...hostConfigOf(spec, template, input),
      PortBindings: ports.PortBindings,
      SecurityOpt: convertPrivileges(spec, credentialSpec),
      ...(NetworkMode === undefined ? {} : { NetworkMode }),
    },
    NetworkingConfig: { EndpointsConfig },
  };
  return { name: containerName(input.assignment, input.node.nodeId), body, connect };
}

/** `Command` replaces the image's entry point and its command; `Args` alone replace only the command. */
function commandOf(spec: ContainerSpec): Pick<Docker.ContainerCreateOptions, 'Entrypoint' | 'Cmd'> {
  const { Command: command, Args: args } = spec;
  if (command && command.length > 0) return { Entrypoint: [...command], Cmd: [...(args ?? [])] };
  return args && args.length > 0 ? { Cmd: [...args] } : {};
}

function identityOf(spec: ContainerSpec): Docker.ContainerCreateOptions {
  const graceMs = spec.StopGracePeriod == null ? undefined : durationMs(spec.StopGracePeriod, 0);
  return {
    ...(spec.User ? { User: spec.User } : {}),
    ...(spec.Dir ? { WorkingDir: spec.Dir } : {}),
    ...(spec.Hostname ? { Hostname: spec.Hostname } : {}),
    ...(spec.TTY === undefined ? {} : { Tty: spec.TTY }),
    ...(spec.OpenStdin === undefined ? {} : { OpenStdin: spec.OpenStdin }),
    ...(spec.StopSignal ? { StopSignal: spec.StopSignal } : {}),
    // So that `docker stop` by hand and the engine's own shutdown are as patient as we are.
    ...(graceMs === undefined ? {} : { StopTimeout: Math.ceil(graceMs / 1000) }),
  };
}

function hostConfigOf(spec: ContainerSpec, template: TaskSpec, input: ConversionInput): Docker.HostConfig {
  const logDriver = template.LogDriver?.Name ? template.LogDriver : input.defaultLogDriver;
  const dns = spec.DNSConfig;
  // On an overlay it asks no other: names of the cluster must not leak. Those of its spec are asked from there.
  const overlay = input.networks.find((network) => network.nameServer !== undefined)?.nameServer;
  const nameServers = overlay === undefined ? [...(dns?.Nameservers ?? [])] : [overlay];
  return {
    ...convertResources(template),
    Mounts: convertMounts(spec.Mounts ?? [], input.files, input.node.apiVersion),
    ...(spec.Groups?.length ? { GroupAdd: [...spec.Groups] } : {}),
    ...(spec.ReadOnly ? { ReadonlyRootfs: true } : {}),
    ...(spec.CapabilityAdd?.length ? { CapAdd: [...spec.CapabilityAdd] } : {}),
    ...(spec.CapabilityDrop?.length ? { CapDrop: [...spec.CapabilityDrop] } : {}),
    ...(spec.Sysctls ? { Sysctls: { ...spec.Sysctls } } : {}),
    ...(spec.Init == null ? {} : { Init: spec.Init }),
    ...(spec.OomScoreAdj ? { OomScoreAdj: spec.OomScoreAdj } : {}),
    ...(spec.Isolation ? { Isolation: spec.Isolation } : {}),
    ...(nameServers.length > 0 ? { Dns: nameServers } : {}),
    ...(dns?.Search?.length ? { DnsSearch: [...dns.Search] } : {}),
    ...(dns?.Options?.length ? { DnsOptions: [...dns.Options] } : {}),
    ...(spec.Hosts?.length ? { ExtraHosts: spec.Hosts.flatMap(extraHost) } : {}),
    ...(logDriver?.Name ? { LogConfig: logConfig(logDriver) } : {}),
  };
}

/** Specs write `IP name [alias…]` as in hosts(5), the engine takes `name:IP`, one name each. */
function extraHost(entry: string): string[] {
  const [address, ...names] = entry.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}

function logConfig(driver: Driver): Docker.HostConfig['LogConfig'] {
  return { Type: driver.Name ?? '', Config: { ...driver.Options } };
}
