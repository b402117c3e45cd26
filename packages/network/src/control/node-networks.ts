import {
  type Clock,
  type LocalEndpoints,
  NODE_NETWORKS_PROTOCOL,
  type NodeNetworks,
  SwarmdError,
  VERSIONS,
} from '@swarmd/model';
import type { Logger } from 'pino';
import type { NodeState } from '../state/node-state.js';
import { createQueues } from './coalesce.js';
import { type EndpointFeed, localEndpoints } from './endpoint-feed.js';
import type { Keeper } from './keeper.js';

/** What the agent's wishes are carried out with. */
export interface NodeNetworksDeps {
  state: NodeState;
  keeper: Keeper;
  feed: EndpointFeed;
  clock: Clock;
  logger: Logger;
}

/** IDs are part of paths and of record keys. */
const NETWORK_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The port that the agent sees, carried out here. */
export function createNodeNetworks({ state, keeper, feed, logger }: NodeNetworksDeps): NodeNetworks {
  /** A network is not removed while it is being made. */
  const inTurn = createQueues();
  return {
    status: async () => ({
      protocol: NODE_NETWORKS_PROTOCOL,
      version: VERSIONS.swarmd,
      epoch: state.epoch(),
      networks: [...state.networks().keys()],
      endpoints: localEndpoints(state),
      problems: keeper.problems(),
    }),
    localEndpoints: (after, signal): Promise<LocalEndpoints> =>
      feed.after(after, signal ?? new AbortController().signal),
    async configure(config) {
      await Promise.all([state.setConfig(config), keeper.configure()]);
    },
    putNetwork: (network) =>
      inTurn(network.id, async () => {
        if (!NETWORK_ID.test(network.id)) {
          throw new SwarmdError('invalid-argument', `id: "${network.id}" is no ID: letters, digits, - and _`, {
            field: 'id',
          });
        }
        const known = state.networks().get(network.id);
        const written = state.putNetwork(network);
        if (known === undefined) logger.info({ network: network.name, vni: network.vni }, 'a network is new here');
        await Promise.all([written, keeper.bring(network.id)]);
      }),
    removeNetwork: (networkId) =>
      inTurn(networkId, async () => {
        const network = state.networks().get(networkId);
        const here = [...state.locals().values()].filter((local) => local.networkId === networkId);
        if (here.length > 0) {
          const problem = `network ${network?.name ?? networkId} has ${here.length} containers on this node`;
          throw new SwarmdError('failed-precondition', `${problem}: remove them first`);
        }
        await Promise.all([state.removeNetwork(networkId), keeper.drop(networkId)]);
        if (network !== undefined) logger.info({ network: network.name }, 'a network is gone from here');
      }),
    async changeEndpoints(changes) {
      const written = state.changeMembers(changes);
      for (const { networkId, complete } of changes) if (complete) keeper.told(networkId);
      const networkIds = new Set(changes.map(({ networkId }) => networkId));
      await Promise.all([written, ...[...networkIds].map((networkId) => keeper.bring(networkId))]);
    },
    async publish(services) {
      await Promise.all([state.setPublished(services), keeper.publish()]);
    },
    async reset() {
      await state.clear();
      await keeper.reset();
      logger.info('everything of the cluster is gone from this host');
    },
  };
}
