import { SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { WantedNetwork } from '../convert/networks.js';
import type { TaskNetwork } from '../convert/request.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../labels.js';
import type { AssignedNetwork } from '../task/assignment.js';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from './client.js';
import { engineError, isTemporary } from './errors.js';

/** Gives tasks their networks on this node. */
export interface NetworkProvider {
  /** Makes sure that the engine has `network` and says how a task of `serviceName` joins it. */
  join(
    client: EngineClient,
    network: AssignedNetwork,
    wanted: WantedNetwork,
    serviceName: string,
    signal: AbortSignal,
  ): Promise<TaskNetwork>;
  /** No task of this node needs the network any more: it goes, unless something else still uses it. */
  release(client: EngineClient, networkId: string): Promise<void>;
  /** Removes every network of our cluster that `keep` does not want. */
  sweep(client: EngineClient, keep: (networkId: string) => boolean): Promise<void>;
  /** Forgets what it believes the engine to have: after a restart of the engine. */
  reset(): void;
}

/** The task's way onto a network that every engine has. */
export function engineNetwork(name: string): TaskNetwork {
  return { name, aliases: [] };
}

/**
 * A {@link NetworkProvider} that stands in for overlays until there are real ones: a bridge on each host under the
 * network's own name. Tasks of one host reach each other by service name; those of other hosts are out of reach.
 */
export function createBridgeNetworks(deps: { clusterId: string; logger: Logger }): NetworkProvider {
  const { clusterId, logger } = deps;
  /** One making at a time for each network: engines do not mind two networks of one name. */
  const made = new Map<string, Promise<void>>();

  const list = async (client: EngineClient, filters: Record<string, string[]>) => {
    return client.docker.listNetworks({ filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
  };
  const ours = (id?: string) => [
    `${CLUSTER_LABEL}=${clusterId}`,
    id === undefined ? NETWORK_LABEL : `${NETWORK_LABEL}=${id}`,
  ];

  const make = async (client: EngineClient, network: AssignedNetwork): Promise<void> => {
    const { Name, Internal, EnableIPv6, Labels, IPAM, Driver, Options } = network.spec;
    const existing = await list(client, { name: [Name] });
    const same = existing.find((candidate) => candidate.Name === Name);
    if (same?.Labels?.[NETWORK_LABEL] === network.id) return;
    if (same !== undefined) {
      throw new SwarmdError('already-exists', `this node has a network ${Name} already that is not the cluster's`);
    }
    await client.docker.createNetwork({
      Name,
      CheckDuplicate: true,
      Driver: 'bridge',
      Internal: Internal ?? false,
      EnableIPv6: EnableIPv6 ?? false,
      ...(IPAM?.Config?.length ? { IPAM: { Driver: 'default', Config: IPAM.Config } } : {}),
      // An overlay's options mean nothing to a bridge.
      ...(Driver === 'bridge' && Options ? { Options } : {}),
      Labels: { ...Labels, [CLUSTER_LABEL]: clusterId, [NETWORK_LABEL]: network.id },
      abortSignal: within(WRITE_TIMEOUT_MS),
    } as Parameters<typeof client.docker.createNetwork>[0]);
    logger.info({ network: Name, networkId: network.id }, 'made a network');
  };

  const remove = async (client: EngineClient, id: string): Promise<void> => {
    try {
      await client.docker.getNetwork(id).remove({ abortSignal: within(WRITE_TIMEOUT_MS) } as object);
    } catch (thrown) {
      // Still in use, or gone already: either is none of our business.
      const error = engineError(thrown);
      if (isTemporary(error)) throw error;
      logger.debug({ networkId: id, reason: error.message }, 'a network stays');
    }
  };

  return {
    async join(client, network, wanted, serviceName) {
      const making = made.get(network.id) ?? make(client, network);
      made.set(network.id, making);
      try {
        await making;
      } catch (thrown) {
        made.delete(network.id);
        throw engineError(thrown);
      }
      return {
        name: network.spec.Name,
        aliases: [...new Set([serviceName, ...wanted.aliases])],
        ...(wanted.driverOpts ? { driverOpts: wanted.driverOpts } : {}),
      };
    },
    async release(client, networkId) {
      made.delete(networkId);
      for (const { Id } of await list(client, { label: ours(networkId) })) await remove(client, Id);
    },
    async sweep(client, keep) {
      for (const { Id, Labels } of await list(client, { label: ours() })) {
        const id = Labels?.[NETWORK_LABEL] ?? '';
        if (keep(id)) continue;
        made.delete(id);
        await remove(client, Id);
      }
    },
    reset: () => made.clear(),
  };
}
