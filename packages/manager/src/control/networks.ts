import {
  type ApiObject,
  type Control,
  idFromBytes,
  isTerminal,
  type Network,
  NetworkSpecSchema,
  type ReadView,
  type ServiceSpec,
  SwarmdError,
  type WriteTx,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { invalid, rpcError } from './errors.js';
import { checkFilters, equalTest, labelTest, prefixTest, select } from './filters.js';
import { checkDnsName } from './names.js';
import { parseBody } from './parse.js';
import { PREDEFINED_LABEL, predefinedNetwork } from './predefined-networks.js';
import { resolve } from './references.js';

type NetworkControl = Pick<Control, 'listNetworks' | 'getNetwork' | 'createNetwork' | 'removeNetwork'>;

const FILTERS = ['driver', 'type', 'name', 'id', 'label', 'scope', 'dangling'];

/** Swarm-scoped networks: stored as the user gave them; the network layer gives them addresses. */
export function networkControl({ store, random }: ControlDependencies): NetworkControl {
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
      return networks.map(networkToApi);
    },
    async getNetwork(ref) {
      const predefined = predefinedNetwork(ref);
      if (predefined !== undefined) {
        const empty = { Version: { Index: 0 }, CreatedAt: '0001-01-01T00:00:00Z', UpdatedAt: '0001-01-01T00:00:00Z' };
        return networkToApi({ ...empty, ...predefined });
      }
      return networkToApi(resolve(store.view, 'network', ref));
    },
    async createNetwork(body) {
      const { CheckDuplicate: _1, ConfigOnly, ConfigFrom: _2, ...given } = parseBody(NetworkSpecSchema, body);
      checkDnsName(given.Name);
      if (ConfigOnly) throw invalid('config-only networks belong to one node: leave out the swarm scope', 'ConfigOnly');
      const id = idFromBytes(random.bytes(17));
      const Spec = { ...given, Driver: given.Driver || 'overlay', Labels: given.Labels ?? {} };
      await store.update((tx) => {
        checkNameFree(tx, given.Name);
        tx.create('network', { ID: id, Spec });
      });
      return { ID: id, Warnings: [] };
    },
    async removeNetwork(ref) {
      await store.update((tx) => {
        const network = resolve(tx, 'network', ref);
        const user = userOf(tx, network.ID);
        if (user !== undefined) {
          throw rpcError('failed-precondition', `network ${network.ID} is in use by ${user}`);
        }
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

const attached = (spec: ServiceSpec | undefined, id: string): boolean =>
  (spec?.TaskTemplate?.Networks ?? []).some((attachment) => attachment.Target === id);

/** Who holds a network: a service whose spec names it, or a task still attached to it. */
function userOf(view: ReadView, id: string): string | undefined {
  for (const service of view.all('service')) {
    if (!service.PendingDelete && attached(service.Spec, id)) return `service ${service.ID}`;
  }
  for (const record of view.all('spec')) {
    if (!attached(record.Spec, id) || view.get('service', record.ServiceID)?.PendingDelete) continue;
    for (const task of view.find('task', 'service', record.ServiceID)) {
      if (task.SpecVersion === record.SpecVersion && !isTerminal(task.Status.State)) return `task ${task.ID}`;
    }
  }
  return undefined;
}

/** A network in the API's JSON. The API spells its ID `Id`; both are given here and HTTP leaves out `ID`. */
export function networkToApi({ ID, CreatedAt, Spec }: Network): ApiObject {
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
      Config: Spec.IPAM?.Config ?? [],
    },
    Internal: Spec.Internal ?? false,
    Attachable: Spec.Attachable ?? false,
    Ingress: Spec.Ingress ?? false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: Spec.Options ?? null,
    Labels: Spec.Labels ?? null,
  };
}
