import { isIPv4 } from 'node:net';
import { NETWORK_OPTION, type NodeNetwork, SwarmdError } from '@swarmd/model';
import type { z } from 'zod';
import type { NodeState } from '../state/node-state.js';
import {
  type AddressRange,
  formatAddress,
  formatRange,
  inRange,
  parseAddress,
  parseRange,
  plainAddress,
} from './addresses.js';
import { chooseAddress } from './choose-address.js';
import {
  ADDRESS_TYPE,
  GATEWAY_TYPE,
  type ReleaseAddressSchema,
  type RequestAddressSchema,
  type RequestPoolSchema,
} from './messages.js';

/** Name of the address space of all our pools. */
export const ADDRESS_SPACE = 'swarmd';

/** An address given out for an endpoint that the engine has not made yet is free again after this. */
const RESERVED_FOR_MS = 120_000;
/** Released addresses that are remembered, a network. */
const MAX_RELEASED = 4096;

/** The engine's IPAM driver: addresses come from what the managers gave this node. Nothing of it is kept on disk. */
export interface IpamDriver {
  requestPool(request: z.infer<typeof RequestPoolSchema>): { PoolID: string; Pool: string; Data: object };
  requestAddress(request: z.infer<typeof RequestAddressSchema>): { Address: string; Data: object };
  releaseAddress(request: z.infer<typeof ReleaseAddressSchema>): void;
  /** An endpoint was made with the address: from now on that is what has it. */
  claim(networkId: string, address: string): void;
  /** The one network in which the address waits for its endpoint; `undefined` when there is none, or are several. */
  waitingIn(address: string): string | undefined;
}

interface Pool {
  network: NodeNetwork;
  subnet: AddressRange;
  gateway: string;
}

/** `now`: monotonic milliseconds. */
export function createIpamDriver(state: NodeState, now: () => number): IpamDriver {
  /** By network, then by address: until when. */
  const reserved = new Map<string, Map<string, number>>();
  const released = new Map<string, Set<string>>();

  const reservedIn = (networkId: string): Map<string, number> => {
    const found = reserved.get(networkId) ?? new Map<string, number>();
    reserved.set(networkId, found);
    for (const [address, untilMs] of found) if (untilMs <= now()) found.delete(address);
    return found;
  };

  const choose = ({ network, subnet, gateway }: Pool): string => {
    const taken = new Set([gateway, ...reservedIn(network.id).keys()]);
    for (const local of state.locals().values()) {
      if (local.networkId === network.id) for (const address of local.addresses) taken.add(address);
    }
    const members = state.members(network.id);
    for (const { addresses } of members?.endpoints.values() ?? []) {
      for (const address of addresses) taken.add(isIPv4(address) ? address : plainAddress(address));
    }
    for (const { virtualIps } of members?.services.values() ?? []) for (const vip of virtualIps) taken.add(vip);
    const blocks = network.addressBlocks.flatMap((block) => parseRange(block) ?? []);
    const address = chooseAddress({ subnet, blocks, taken, released: [...(released.get(network.id) ?? [])] });
    if (address !== undefined) return address;
    throw new SwarmdError('failed-precondition', exhausted(network, subnet));
  };

  return {
    requestPool(request) {
      const { network, subnet } = poolFor(state, request);
      return { PoolID: poolId(network, subnet), Pool: formatRange(subnet), Data: {} };
    },
    requestAddress(request) {
      const pool = findPool(state, request.PoolID);
      const { network, subnet, gateway } = pool;
      const isGateway = request.Options[ADDRESS_TYPE] === GATEWAY_TYPE;
      // Tasks ask for the address that a manager gave them.
      if (!isGateway && request.Address === '') checkAttachable(network);
      const address = isGateway ? gateway : request.Address === '' ? choose(pool) : plainAddress(request.Address);
      if (isGateway) checkGateway(request.Address, pool);
      else {
        checkInside(address, pool);
        reservedIn(network.id).set(address, now() + RESERVED_FOR_MS);
      }
      return { Address: `${address}/${subnet.prefixLength}`, Data: {} };
    },
    releaseAddress(request) {
      const networkId = networkOfPool(request.PoolID);
      const address = plainAddress(request.Address);
      reserved.get(networkId)?.delete(address);
      const list = released.get(networkId) ?? new Set<string>();
      released.set(networkId, list);
      list.delete(address);
      list.add(address);
      const [oldest] = list;
      if (list.size > MAX_RELEASED) list.delete(oldest!);
    },
    claim(networkId, address) {
      reserved.get(networkId)?.delete(plainAddress(address));
    },
    waitingIn(address) {
      const waiting = [...reserved.keys()].filter((networkId) => reservedIn(networkId).has(plainAddress(address)));
      return waiting.length === 1 ? waiting[0] : undefined;
    },
  };
}

/** The network that an option names, of a driver or of IPAM; errors say what is to be done. */
export function namedNetwork(state: NodeState, value: unknown, of: 'driver' | 'IPAM'): NodeNetwork {
  const flag = of === 'driver' ? '-o' : '--ipam-opt';
  if (typeof value !== 'string' || value === '') {
    const wanted = `the ${of} option ${NETWORK_OPTION} (${flag}) must name a network of the cluster by its ID`;
    throw new SwarmdError('invalid-argument', `${wanted}; make networks with swarmctl network create`, {
      field: NETWORK_OPTION,
    });
  }
  return knownNetwork(state, value);
}

/** A network by the cluster's ID; `not-found` when this node was not told of it. */
export function knownNetwork(state: NodeState, networkId: string): NodeNetwork {
  const network = state.networks().get(networkId);
  if (network !== undefined) return network;
  const problem = `${NETWORK_OPTION}: no network ${networkId} of the cluster is known on this node`;
  throw new SwarmdError('not-found', `${problem}: it was removed, or swarmd has not told of it yet`, {
    field: NETWORK_OPTION,
  });
}

/** Refuses what is no task on a network that is only for tasks, in Docker's own words. */
export function checkAttachable({ name, attachable }: NodeNetwork): void {
  if (attachable) return;
  const why = `rpc error: code = PermissionDenied desc = network ${name} not manually attachable`;
  throw new SwarmdError('permission-denied', `Could not attach to network ${name}: ${why}`);
}

function poolsOf(network: NodeNetwork): Pool[] {
  return network.subnets.flatMap((entry) => {
    const subnet = parseRange(entry.subnet);
    return subnet ? [{ network, subnet, gateway: plainAddress(entry.gateway) }] : [];
  });
}

function poolFor(state: NodeState, request: z.infer<typeof RequestPoolSchema>): Pool {
  const network = namedNetwork(state, request.Options[NETWORK_OPTION], 'IPAM');
  if (request.SubPool !== '') {
    const why = `network ${network.name} takes addresses from the node's own ranges`;
    throw new SwarmdError('invalid-argument', `--ip-range ${request.SubPool} is not supported: ${why}`, {
      field: 'SubPool',
    });
  }
  const pools = poolsOf(network);
  const wanted = parseRange(request.Pool);
  const family = request.V6 ? 6 : 4;
  const found = pools.find(({ subnet }) =>
    request.Pool === '' ? subnet.family === family : wanted && formatRange(wanted) === formatRange(subnet),
  );
  if (found !== undefined) return found;
  const subnets = pools.map(({ subnet }) => formatRange(subnet)).join(', ');
  const asked = request.Pool === '' ? `IPv${family} subnet` : `subnet ${request.Pool}`;
  throw new SwarmdError('invalid-argument', `network ${network.name} has no ${asked}; it has ${subnets}`, {
    field: 'Pool',
  });
}

function poolId(network: NodeNetwork, subnet: AddressRange): string {
  return `${ADDRESS_SPACE}/${network.id}/${formatRange(subnet)}`;
}

function networkOfPool(id: string): string {
  return id.split('/')[1] ?? '';
}

function findPool(state: NodeState, id: string): Pool {
  const network = knownNetwork(state, networkOfPool(id));
  const found = poolsOf(network).find(({ subnet }) => poolId(network, subnet) === id);
  if (found !== undefined) return found;
  throw new SwarmdError('not-found', `network ${network.name} has no pool ${id} any more: remove it from the engine`, {
    field: 'PoolID',
  });
}

function checkGateway(asked: string, { network, gateway }: Pool): void {
  if (asked === '' || plainAddress(asked) === gateway) return;
  throw new SwarmdError('invalid-argument', `the gateway of network ${network.name} is ${gateway}, not ${asked}`, {
    field: 'Address',
  });
}

function checkInside(address: string, { network, subnet, gateway }: Pool): void {
  const parsed = parseAddress(address);
  const end = { family: subnet.family, value: subnet.last };
  const usable =
    parsed !== undefined &&
    inRange(subnet, parsed) &&
    parsed.value !== subnet.first &&
    !(subnet.family === 4 && address === formatAddress(end));
  if (usable && address !== gateway) return;
  const problem = usable ? 'is its gateway' : `lies not in its subnet ${formatRange(subnet)}`;
  throw new SwarmdError('invalid-argument', `network ${network.name}: address ${address} ${problem}`, {
    field: 'Address',
  });
}

function exhausted({ name, addressBlocks }: NodeNetwork, subnet: AddressRange): string {
  if (addressBlocks.length === 0) {
    const hint = 'name one with --ip, or try again when a manager has given the node a range';
    return `network ${name}: this node has no range of addresses in ${formatRange(subnet)} for containers yet: ${hint}`;
  }
  const hint =
    'remove containers, name an address with --ip, or try again when a manager has given the node another range';
  return `network ${name}: no address is left in this node's ranges ${addressBlocks.join(', ')}: ${hint}`;
}
