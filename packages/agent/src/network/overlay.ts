import {
  DNS_OPTION,
  NETWORK_DRIVER,
  NETWORK_OPTION,
  type NetworkAllocation,
  type NodeNetwork,
  TASK_OPTION,
} from '@swarmd/model';
import type Docker from 'dockerode';
import type { WantedNetwork } from '../convert/networks.js';
import type { TaskNetwork } from '../convert/request.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../labels.js';
import type { AssignedNetwork } from '../task/assignment.js';

/** A network that the cluster has given a VNI and subnets. */
export type OverlayNetwork = AssignedNetwork & { allocation: NetworkAllocation };

/** Whether a network is an overlay: those that every engine has by itself are given nothing. */
export function isOverlay(network: AssignedNetwork): network is OverlayNetwork {
  return network.allocation !== undefined;
}

/** What swarmd-net is told of a network. */
export function toNodeNetwork({ id, spec, allocation, addressBlocks }: OverlayNetwork): NodeNetwork {
  return {
    id,
    name: spec.Name,
    vni: allocation.VNI,
    subnets: allocation.Subnets.map(({ Subnet, Gateway }) => ({ subnet: Subnet, gateway: Gateway })),
    mtu: allocation.MTU,
    internal: spec.Internal ?? false,
    ingress: spec.Ingress ?? false,
    attachable: spec.Attachable ?? false,
    addressBlocks: [...addressBlocks],
  };
}

/** The engine's network that stands for the cluster's on this node: both drivers find it by its option, whatever its name. */
export function networkRequest(
  { id, spec, allocation }: OverlayNetwork,
  clusterId: string,
): Docker.NetworkCreateOptions {
  const Options = { [NETWORK_OPTION]: id };
  return {
    Name: spec.Name,
    CheckDuplicate: true,
    Driver: NETWORK_DRIVER,
    Internal: spec.Internal ?? false,
    Attachable: spec.Attachable ?? false,
    EnableIPv6: allocation.Subnets.some(({ Subnet }) => isIPv6(Subnet)),
    IPAM: {
      Driver: NETWORK_DRIVER,
      Options,
      Config: allocation.Subnets.map(({ Subnet, Gateway }) => ({ Subnet, Gateway })),
    },
    Options,
    Labels: { ...spec.Labels, [CLUSTER_LABEL]: clusterId, [NETWORK_LABEL]: id },
  };
}

/**
 * A task's way onto a network: with the addresses that it was given, and without aliases, which the engine's own DNS
 * would answer from what is on this node alone. The network's gateway answers names, but for the ingress network, on
 * which tasks look for nobody.
 */
export function taskNetwork(
  { spec, allocation }: OverlayNetwork,
  { addresses, driverOpts }: WantedNetwork,
  task: { id: string; nameservers: readonly string[] },
): TaskNetwork {
  const given = addresses.map((address) => address.replace(/\/\d+$/, ''));
  const ipv4 = given.find((address) => !isIPv6(address));
  const ipv6 = given.find(isIPv6);
  const gateway = allocation.Subnets[0]?.Gateway;
  return {
    name: spec.Name,
    aliases: [],
    driverOpts: {
      ...driverOpts,
      [TASK_OPTION]: task.id,
      ...(task.nameservers.length > 0 ? { [DNS_OPTION]: task.nameservers.join(',') } : {}),
    },
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(spec.Ingress || gateway === undefined ? {} : { nameServer: gateway }),
  };
}

function isIPv6(address: string): boolean {
  return address.includes(':');
}
