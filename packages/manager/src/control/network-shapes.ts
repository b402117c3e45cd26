import type { ApiObject, Network, NetworkSpec } from '@swarmd/model';
import { fullnessWarning, type SubnetUse } from '../allocator/network-use.js';

/** Docker's option that shows the VXLAN identifier of an overlay. */
const VNI_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/**
 * A network in the API's JSON. The API spells its ID `Id`; both are given here and HTTP leaves out `ID`. `Status` tells how
 * full it is, as Docker's API has it from 1.52 on, and what is to be warned of.
 */
export function networkToApi(network: Network, use: readonly SubnetUse[] = []): ApiObject {
  const { ID, CreatedAt, Spec } = network;
  return {
    ID,
    Name: Spec.Name,
    Id: ID,
    Created: CreatedAt,
    Scope: 'swarm',
    Driver: Spec.Driver || 'overlay',
    EnableIPv6: Spec.EnableIPv6 ?? false,
    IPAM: {
      Driver: Spec.IPAM?.Driver || 'default',
      Options: Spec.IPAM?.Options ?? null,
      Config: ipamConfigOf(network),
    },
    Internal: Spec.Internal ?? false,
    Attachable: Spec.Attachable ?? false,
    Ingress: Spec.Ingress ?? false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: optionsOf(network),
    Labels: Spec.Labels ?? null,
    ...(use.length > 0 ? { Status: statusOf(Spec, use) } : {}),
  };
}

/** Subnets and gateways as they are, with what else the spec says of them. */
export function ipamConfigOf({ Spec, Allocation }: Network): Record<string, unknown>[] {
  const asked = Spec.IPAM?.Config ?? [];
  if (Allocation === undefined) return asked;
  return Allocation.Subnets.map(({ Subnet, Gateway }) => ({
    ...asked.find((config) => config.Subnet === Subnet),
    Subnet,
    Gateway,
  }));
}

/** A network's driver options, its VXLAN identifier among them; `null` when there are none. */
export function optionsOf({ Spec, Allocation }: Network): Record<string, string> | null {
  if (Allocation === undefined) return Spec.Options ?? null;
  return { ...Spec.Options, [VNI_OPTION]: String(Allocation.VNI) };
}

function statusOf({ Name }: NetworkSpec, use: readonly SubnetUse[]): Record<string, unknown> {
  const Subnets = use.map(({ subnet, inUse, available }) => [
    subnet,
    { IPsInUse: inUse, DynamicIPsAvailable: available },
  ]);
  const warning = fullnessWarning(Name, use);
  return { IPAM: { Subnets: Object.fromEntries(Subnets) }, ...(warning === undefined ? {} : { Warnings: [warning] }) };
}
