import { type Control, idFromBytes, type Network, NetworkSpecSchema, SwarmdError, type WriteTx } from '@swarmd/model';
import { networkUse, type SubnetUse } from '../allocator/network-use.js';
import type { ControlDependencies } from './dependencies.js';
import { invalid } from './errors.js';
import { checkFilters, equalTest, labelTest, prefixTest, select } from './filters.js';
import { checkDnsName } from './names.js';
import { peersOf, servicesOf } from './network-members.js';
import { networkToApi } from './network-shapes.js';
import { checkUnused, userOf } from './network-users.js';
import { checkNetworkAmongOthers, checkNetworkSpec } from './network-validation.js';
import { parseBody } from './parse.js';
import { PREDEFINED_LABEL, predefinedNetwork } from './predefined-networks.js';
import { resolve } from './references.js';

type NetworkControl = Pick<Control, 'listNetworks' | 'getNetwork' | 'createNetwork' | 'removeNetwork'>;

const FILTERS = ['driver', 'type', 'name', 'id', 'label', 'scope', 'dangling'];

/** Swarm-scoped networks: their specs are the users', what they were given is the allocator's. */
export function networkControl({ store, random }: ControlDependencies): NetworkControl {
  let counted: { index: number; use: Map<string, SubnetUse[]> } | undefined;
  const use = (id: string): SubnetUse[] => {
    if (counted?.index !== store.index) counted = { index: store.index, use: networkUse(store.view) };
    return counted.use.get(id) ?? [];
  };
  return {
    async listNetworks(filters) {
      checkFilters(filters, FILTERS);
      const view = store.view;
      const networks = select<Network>(view.all('network'), [
        (network) => network.Spec.Labels?.[PREDEFINED_LABEL] === undefined,
        equalTest(filters['driver'], driverOf),
        equalTest(filters['type'], () => 'custom'),
        equalTest(filters['scope'], () => 'swarm'),
        prefixTest(filters['name'], (n) => n.Spec.Name),
        prefixTest(filters['id'], (n) => n.ID),
        labelTest(filters['label'], (n) => n.Spec.Labels),
        equalTest(filters['dangling'], (n) => String(userOf(view, n.ID) === undefined)),
      ]);
      return networks.map((network) => networkToApi(network, use(network.ID)));
    },
    async getNetwork(ref, { verbose } = { verbose: false }) {
      const predefined = predefinedNetwork(ref);
      if (predefined !== undefined) {
        const empty = { Version: { Index: 0 }, CreatedAt: '0001-01-01T00:00:00Z', UpdatedAt: '0001-01-01T00:00:00Z' };
        return networkToApi({ ...empty, ...predefined });
      }
      const view = store.view;
      const network = resolve(view, 'network', ref);
      const Peers = peersOf(view, network);
      return {
        ...networkToApi(network, use(network.ID)),
        ...(Peers.length > 0 ? { Peers } : {}),
        ...(verbose ? { Services: servicesOf(view, network) } : {}),
      };
    },
    async createNetwork(body) {
      const { CheckDuplicate: _1, ConfigOnly, ConfigFrom: _2, ...given } = parseBody(NetworkSpecSchema, body);
      checkDnsName(given.Name);
      if (ConfigOnly) throw invalid('config-only networks belong to one node: leave out the swarm scope', 'ConfigOnly');
      const warnings = checkNetworkSpec(given);
      const id = idFromBytes(random.bytes(17));
      const Spec = { ...given, Driver: given.Driver || 'overlay', Labels: given.Labels ?? {} };
      const more = await store.update((tx) => {
        checkNameFree(tx, given.Name);
        const found = checkNetworkAmongOthers(tx, Spec);
        tx.create('network', { ID: id, Spec });
        return found;
      });
      return { ID: id, Warnings: [...warnings, ...more] };
    },
    async removeNetwork(ref) {
      await store.update((tx) => {
        const network = resolve(tx, 'network', ref);
        checkUnused(tx, network);
        tx.delete('network', network.ID);
      });
    },
  };
}

function checkNameFree(tx: WriteTx, name: string): void {
  const taken = predefinedNetwork(name) !== undefined || [...tx.find('network', 'name', name.toLowerCase())].length > 0;
  if (taken) throw new SwarmdError('already-exists', `network with name ${name} already exists`, { field: 'Name' });
}

const driverOf = (network: Network): string => network.Spec.Driver || 'overlay';
