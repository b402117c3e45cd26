import { isTerminal, type Network, type Node, type Service, type StoreEvent, type Task } from '@swarmd/model';
import { AddressPool } from './address-pool.js';
import { type Cidr, contains, type Ip, overlap, parseCidr, parseIp } from './ip.js';

/** A claim on part of a network: an address (with or without prefix length), or a range for a node (CIDR). */
export interface Claim {
  networkId: string;
  address?: string;
  block?: string;
}

const NONE: readonly Claim[] = [];

/** What a task holds: its addresses until it has ended, wherever its node is. */
export function claimsOfTask(task: Task): readonly Claim[] {
  const attachments = task.NetworksAttachments;
  if (!attachments?.length || isTerminal(task.Status.State)) return NONE;
  return attachments.flatMap(({ Network, Addresses }) =>
    (Addresses ?? []).map((address) => ({ networkId: Network.ID, address })),
  );
}

/** What a service holds: its virtual IPs, for as long as it exists. */
export function claimsOfService({ Endpoint }: Service): readonly Claim[] {
  return (Endpoint?.VirtualIPs ?? []).map(({ NetworkID, Addr }) => ({ networkId: NetworkID, address: Addr }));
}

/** What a node holds: the ranges that it gives addresses from by itself, and the addresses that it gave. */
export function claimsOfNode({ AddressBlocks, Attachments }: Node): readonly Claim[] {
  const claims: Claim[] = [];
  for (const [networkId, blocks] of Object.entries(AddressBlocks ?? {}))
    for (const block of blocks) claims.push({ networkId, block });
  for (const { NetworkID, Addresses } of Attachments ?? [])
    for (const address of Addresses) claims.push({ networkId: NetworkID, address });
  return claims;
}

/** What an event gives up and takes. Empty twice where nothing of it changes. */
export function claimsInEvent(event: StoreEvent): { before: readonly Claim[]; after: readonly Claim[] } {
  if (event.table === 'task') {
    const { object, previous } = event;
    const same =
      previous?.NetworksAttachments === object.NetworksAttachments &&
      previous !== undefined &&
      isTerminal(previous.Status.State) === isTerminal(object.Status.State);
    return same && event.kind === 'update' ? NOTHING : sides(event.kind, object, previous, claimsOfTask);
  }
  if (event.table === 'service') {
    const { object, previous } = event;
    const same = event.kind === 'update' && previous?.Endpoint === object.Endpoint;
    return same ? NOTHING : sides(event.kind, object, previous, claimsOfService);
  }
  if (event.table === 'node') {
    const { object, previous } = event;
    const same =
      event.kind === 'update' &&
      previous?.AddressBlocks === object.AddressBlocks &&
      previous?.Attachments === object.Attachments;
    return same ? NOTHING : sides(event.kind, object, previous, claimsOfNode);
  }
  return NOTHING;
}

const NOTHING = { before: NONE, after: NONE };

function sides<O>(
  kind: StoreEvent['kind'],
  object: O,
  previous: O | undefined,
  claims: (object: O) => readonly Claim[],
): { before: readonly Claim[]; after: readonly Claim[] } {
  if (kind === 'delete') return { before: claims(object), after: NONE };
  return { before: previous === undefined ? NONE : claims(previous), after: claims(object) };
}

/** The pools of a network, one a subnet, in its order; none before it is allocated. */
export function poolsFor({ Spec, Allocation }: Network): AddressPool[] {
  return (Allocation?.Subnets ?? []).flatMap(({ Subnet, Gateway }) => {
    const cidr = parseCidr(Subnet);
    if (cidr === undefined) return [];
    const reserved: Ip[] = [parseIp(Gateway) ?? []].flat();
    let range: Cidr | undefined;
    for (const config of Spec.IPAM?.Config ?? []) {
      const asked = config.Subnet ? parseCidr(config.Subnet) : undefined;
      if (asked === undefined || !overlap(asked, cidr)) continue;
      const limits = config.IPRange ? parseCidr(config.IPRange) : undefined;
      if (limits !== undefined && contains(cidr, { family: limits.family, value: limits.base })) range = limits;
      const others = (config['AuxiliaryAddresses'] ?? {}) as Record<string, unknown>;
      for (const address of Object.values(others)) reserved.push(...[parseIp(String(address)) ?? []].flat());
    }
    return [new AddressPool(cidr, reserved, range)];
  });
}
