import type { NetworkAttachment, ServiceSpec } from '@swarmd/model';
import type Docker from 'dockerode';
import { apiAtLeast, type TaskNetwork } from './request.js';

/** A network that a task is to be on; `target` is the ID of a swarm-scoped one. */
export interface WantedNetwork {
  target: string;
  aliases: readonly string[];
  addresses: readonly string[];
  driverOpts?: Readonly<Record<string, string>>;
}

/** Names of the networks that every engine has: they are never made, and `host` and `none` take no endpoint. */
export const ENGINE_NETWORKS: readonly string[] = ['host', 'none', 'bridge'];

/** A task's networks in order: the attachments it was given, else what its spec names. */
export function wantedNetworks(attachments: readonly NetworkAttachment[], spec: ServiceSpec): WantedNetwork[] {
  const named = spec.TaskTemplate?.Networks?.length ? spec.TaskTemplate.Networks : (spec.Networks ?? []);
  if (attachments.length === 0) {
    return named.flatMap((network) =>
      network.Target
        ? [
            {
              target: network.Target,
              aliases: network.Aliases ?? [],
              addresses: [],
              ...(network.DriverOpts ? { driverOpts: network.DriverOpts } : {}),
            },
          ]
        : [],
    );
  }
  return attachments.map((attachment) => {
    const { ID, Spec } = attachment.Network;
    const config = named.find((network) => network.Target === ID || network.Target === Spec?.Name);
    return {
      target: ID,
      aliases: attachment.Aliases ?? config?.Aliases ?? [],
      addresses: attachment.Addresses,
      ...(config?.DriverOpts ? { driverOpts: config.DriverOpts } : {}),
    };
  });
}

/** What of the networks goes into the create request, and what must be connected after it (engines before 25 take one). */
export function convertNetworks(
  networks: readonly TaskNetwork[],
  apiVersion: string,
): {
  NetworkMode?: string;
  EndpointsConfig: Record<string, Docker.EndpointSettings>;
  connect: { network: string; endpoint: Docker.EndpointSettings }[];
} {
  const first = networks[0];
  if (first === undefined) return { EndpointsConfig: {}, connect: [] };
  if (ENGINE_NETWORKS.includes(first.name)) return { NetworkMode: first.name, EndpointsConfig: {}, connect: [] };
  const all = networks.map((network) => ({ network: network.name, endpoint: endpointOf(network) }));
  const atOnce = apiAtLeast(apiVersion, '1.44') ? all : all.slice(0, 1);
  return {
    NetworkMode: first.name,
    EndpointsConfig: Object.fromEntries(atOnce.map(({ network, endpoint }) => [network, endpoint])),
    connect: all.slice(atOnce.length),
  };
}

function endpointOf(network: TaskNetwork): Docker.EndpointSettings {
  const ipam = {
    ...(network.ipv4 === undefined ? {} : { IPv4Address: network.ipv4 }),
    ...(network.ipv6 === undefined ? {} : { IPv6Address: network.ipv6 }),
  };
  const settings = {
    Aliases: [...network.aliases],
    ...(Object.keys(ipam).length > 0 ? { IPAMConfig: ipam } : {}),
    ...(network.driverOpts ? { DriverOpts: { ...network.driverOpts } } : {}),
  };
  // @types/dockerode lists every field of an inspected endpoint as required.
  return settings as unknown as Docker.EndpointSettings;
}
