import { existsSync } from 'node:fs';
import { type Clock, DNS_OPTION, NETWORK_OPTION, type NodeNetwork, SwarmdError, TASK_OPTION } from '@swarmd/model';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { createQueues } from '../control/coalesce.js';
import type { Keeper } from '../control/keeper.js';
import { macAddressOf } from '../kernel/index.js';
import type { NetworkPlane } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';
import { formatRange, parseRange, plainAddress } from './addresses.js';
import { ADDRESS_SPACE, checkAttachable, type IpamDriver, knownNetwork, namedNetwork } from './ipam-driver.js';
import {
  type CreateEndpointSchema,
  type CreateNetworkSchema,
  DNS_SERVERS,
  type EndpointSchema,
  GENERIC_OPTIONS,
  type JoinSchema,
} from './messages.js';

/** An endpoint of which no namespace is to be seen is taken for left behind after this. */
const UNSEEN_MS = 60_000;

/** The engine's network driver. Everything can be repeated. */
export interface NetworkDriver {
  createNetwork(request: z.infer<typeof CreateNetworkSchema>): Promise<void>;
  deleteNetwork(engineNetworkId: string): Promise<void>;
  /** Resolves with the MAC address for the engine to use; empty when the engine has chosen the right one itself. */
  createEndpoint(request: z.infer<typeof CreateEndpointSchema>): Promise<{ macAddress: string }>;
  join(request: z.infer<typeof JoinSchema>): Promise<{ interfaceName: string }>;
  leave(endpointId: string): Promise<void>;
  deleteEndpoint(endpointId: string): Promise<void>;
  /** Drops endpoints whose container is gone: while this process was down the engine did not tell it. */
  sweep(): Promise<void>;
  /** What the engine shows of an endpoint. */
  info(request: z.infer<typeof EndpointSchema>): Record<string, string>;
}

/** What the driver works with. */
export interface NetworkDriverDeps {
  state: NodeState;
  keeper: Keeper;
  plane: NetworkPlane;
  ipam: IpamDriver;
  clock: Clock;
  logger: Logger;
}

/** The driver; its calls take as long as the kernel and the disk do, deadlines are the caller's. */
export function createNetworkDriver(deps: NetworkDriverDeps): NetworkDriver {
  const { state, keeper, plane, ipam, clock, logger } = deps;
  const inTurn = createQueues();

  const networkOf = async (engineNetworkId: string, addresses: readonly string[] = []): Promise<NodeNetwork> => {
    const recorded = state.engineNetworks().get(engineNetworkId);
    // Which it is was lost with the state; the engine has just asked for the address in the network's pool.
    const networkId = recorded ?? addresses.map((address) => ipam.waitingIn(address)).find(Boolean);
    if (networkId === undefined) {
      const hint = 'remove it from the engine with docker network rm; swarmd makes it again when it is needed';
      throw new SwarmdError('not-found', `the engine's network ${engineNetworkId.slice(0, 12)} is not known: ${hint}`);
    }
    const network = knownNetwork(state, networkId);
    if (recorded === undefined) {
      logger.warn({ engineNetworkId, network: network.name }, 'an engine network that was not known is recognised');
      await state.putEngineNetwork(engineNetworkId, networkId);
    }
    return network;
  };

  /** The engine lets go of an endpoint whatever is answered: a disk that is full must not keep a container from ending. */
  const unawaited = (written: Promise<void>): void => {
    written.catch((error: unknown) => logger.warn({ err: error }, 'the end of an endpoint is not on the disk yet'));
  };

  const dropLocal = async (local: LocalRecord): Promise<void> => {
    unawaited(state.removeLocal(local.endpointId));
    keeper.left(local.sandbox);
    await plane.unplug(local.networkId, local.endpointId);
  };

  const makeRoom = async (network: NodeNetwork, wanted: LocalRecord): Promise<void> => {
    for (const other of [...state.locals().values()]) {
      if (other.networkId !== network.id || other.endpointId === wanted.endpointId) continue;
      const shared = other.addresses.find((address) => wanted.addresses.includes(address));
      if (shared === undefined) continue;
      if (!isLeftBehind(other, wanted, clock.now())) {
        const owner = other.taskId === '' ? 'another container' : `task ${other.taskId}`;
        throw new SwarmdError('in-use', `network ${network.name}: ${owner} of this node has address ${shared}`, {
          field: 'Interface.Address',
        });
      }
      logger.info({ endpointId: other.endpointId, address: shared }, 'an endpoint that was left behind is removed');
      await dropLocal(other);
    }
  };

  return {
    async createNetwork(request) {
      const generic = (request.Options[GENERIC_OPTIONS] ?? {}) as Record<string, unknown>;
      const network = namedNetwork(state, generic[NETWORK_OPTION], 'driver');
      checkPools(network, [...request.IPv4Data, ...request.IPv6Data]);
      await state.putEngineNetwork(request.NetworkID, network.id);
      await keeper.ready(network.id);
      logger.info({ network: network.name, engineNetworkId: request.NetworkID }, 'the engine has made a network');
    },

    async deleteNetwork(engineNetworkId) {
      for (const local of [...state.locals().values()]) {
        if (local.engineNetworkId === engineNetworkId) await inTurn(local.endpointId, () => dropLocal(local));
      }
      await state.removeEngineNetwork(engineNetworkId);
    },

    createEndpoint: (request) =>
      inTurn(request.EndpointID, async () => {
        const { Address, AddressIPv6, MacAddress } = request.Interface;
        const addresses = [Address, AddressIPv6].filter(Boolean).map(plainAddress);
        const network = await networkOf(request.NetworkID, addresses);
        if (textOption(request.Options, TASK_OPTION) === '') checkAttachable(network);
        if (Address === '') {
          throw new SwarmdError('invalid-argument', `network ${network.name}: an endpoint needs an IPv4 address`, {
            field: 'Interface.Address',
          });
        }
        const macAddress = macAddressOf(plainAddress(Address));
        if (MacAddress !== '' && MacAddress.toLowerCase() !== macAddress) {
          const why = `network ${network.name}: the MAC address follows from the IP address and is ${macAddress}`;
          throw new SwarmdError('invalid-argument', `${why}; leave out --mac-address ${MacAddress}`, {
            field: 'Interface.MacAddress',
          });
        }
        const local: LocalRecord = {
          ...{ networkId: network.id, engineNetworkId: request.NetworkID, endpointId: request.EndpointID },
          ...{ addresses, macAddress, sandbox: '', changedAtMs: clock.now() },
          taskId: textOption(request.Options, TASK_OPTION),
          dns: nameServers(request.Options, network),
        };
        await makeRoom(network, local);
        await keeper.ready(network.id);
        const known = state.locals().get(local.endpointId);
        await state.putLocal({ ...local, sandbox: known?.sandbox ?? '' });
        for (const address of addresses) ipam.claim(network.id, address);
        return { macAddress: MacAddress === '' ? macAddress : '' };
      }),

    join: (request) =>
      inTurn(request.EndpointID, async () => {
        const local = state.locals().get(request.EndpointID);
        if (local === undefined) {
          throw new SwarmdError(
            'not-found',
            `endpoint ${request.EndpointID.slice(0, 12)} is not known: start it again`,
          );
        }
        const network = knownNetwork(state, local.networkId);
        await keeper.ready(network.id);
        const { endpointId, addresses, macAddress } = local;
        const { interfaceName } = await plane.plug(network, { endpointId, addresses, macAddress });
        const joined = { ...local, sandbox: request.SandboxKey, changedAtMs: clock.now() };
        await state.putLocal(joined);
        keeper.joined(joined);
        return { interfaceName };
      }),

    leave: (endpointId) =>
      inTurn(endpointId, async () => {
        const local = state.locals().get(endpointId);
        if (local === undefined) return;
        unawaited(state.putLocal({ ...local, sandbox: '', changedAtMs: clock.now() }));
        keeper.left(local.sandbox);
        await plane.unplug(local.networkId, endpointId);
      }),

    deleteEndpoint: (endpointId) =>
      inTurn(endpointId, async () => {
        const local = state.locals().get(endpointId);
        if (local !== undefined) await dropLocal(local);
      }),

    async sweep() {
      for (const local of [...state.locals().values()]) {
        if (!isGone(local, clock.now())) continue;
        await inTurn(local.endpointId, async () => {
          const still = state.locals().get(local.endpointId);
          if (still === undefined || !isGone(still, clock.now())) return;
          logger.info({ endpointId: local.endpointId, addresses: local.addresses }, 'an endpoint was left behind');
          await dropLocal(still);
        });
      }
    },

    info({ EndpointID }) {
      const local = state.locals().get(EndpointID);
      if (local === undefined) return {};
      return { [NETWORK_OPTION]: local.networkId, ...(local.taskId === '' ? {} : { [TASK_OPTION]: local.taskId }) };
    },
  };
}

/** Whether an endpoint's address may go to another one. */
function isLeftBehind(other: LocalRecord, wanted: LocalRecord, nowMs: number): boolean {
  return (wanted.taskId !== '' && other.taskId === wanted.taskId) || isGone(other, nowMs);
}

/** Whether the endpoint's container is gone, or never was. Its namespace appears some time after it has joined. */
function isGone({ sandbox, changedAtMs }: LocalRecord, nowMs: number): boolean {
  return Math.abs(nowMs - changedAtMs) > UNSEEN_MS && (sandbox === '' || !existsSync(sandbox));
}

/** With pools of another IPAM driver the same address would be given out twice. */
function checkPools(network: NodeNetwork, pools: z.infer<typeof CreateNetworkSchema>['IPv4Data']): void {
  const subnets = network.subnets.map(({ subnet }) => formatRange(parseRange(subnet)!));
  for (const { AddressSpace, Pool } of pools) {
    const range = parseRange(Pool);
    const ours = AddressSpace === ADDRESS_SPACE && range !== undefined && subnets.includes(formatRange(range));
    if (ours) continue;
    const wanted = `--ipam-driver swarmd --ipam-opt ${NETWORK_OPTION}=${network.id}`;
    throw new SwarmdError('invalid-argument', `network ${network.name}: pool ${Pool} is not its own; use ${wanted}`, {
      field: 'IPv4Data',
    });
  }
}

function textOption(options: Record<string, unknown>, name: string): string {
  const value = options[name];
  return typeof value === 'string' ? value : '';
}

/** Those of the endpoint's option, else those of the container, which an engine asks itself anyway. */
function nameServers(options: Record<string, unknown>, network: NodeNetwork): string[] {
  const own = textOption(options, DNS_OPTION)
    .split(',')
    .map((server) => server.trim())
    .filter(Boolean);
  if (own.length > 0) return own;
  const container = options[DNS_SERVERS];
  const gateways = network.subnets.map(({ gateway }) => plainAddress(gateway));
  const servers = Array.isArray(container) ? container.filter((server) => typeof server === 'string') : [];
  return servers.filter((server) => !gateways.includes(plainAddress(server)));
}
