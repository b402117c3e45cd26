import { canonicalServiceSpec, type PortConfig, type ServiceSpec } from '@swarmd/model';
import type { ApiData, ApiNode, ApiService } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { getCluster, getInfo, listData, listNetworks, listNodes, listServices } from '../../client/resources.js';
import { CommandError } from '../../program/errors.js';
import { dataSpecOf, type ListedNetwork, networkSpecOf } from '../../transfer/canonical.js';
import {
  type ClusterObjects,
  type Handle,
  handleKey,
  type Kind,
  type PortableNode,
  type Snapshot,
} from '../../transfer/objects.js';
import { withNames } from '../../transfer/references.js';

/** States of an update that has not come to its end. */
const UNFINISHED: ReadonlySet<string> = new Set(['updating', 'paused', 'rollback_started', 'rollback_paused']);

/** How a cluster is read. */
export interface ReadOptions {
  /** Ports that the cluster chose are written into the specs, so that they stay what clients know. */
  fixPorts?: boolean;
}

/**
 * Reads all of a cluster, Docker Swarm's or our own, with nothing but GET requests. Throws CommandError when what
 * answers is no manager.
 */
export async function readCluster(client: Client, options: ReadOptions = {}): Promise<Snapshot> {
  const { Swarm } = await getInfo(client);
  if (Swarm.ControlAvailable !== true) {
    throw new CommandError(`${client.host} is not a manager of a swarm: name the socket of one that is`);
  }
  const handles = new Map<string, Handle>();
  const remarks = new Map<string, string[]>();
  const cluster = await getCluster(client);
  handles.set(handleKey('cluster', ''), { id: cluster.ID, version: cluster.Version.Index });
  const nodes = presentNodes(await listNodes(client));
  const networks = await readNetworks(client);
  const [secrets, configs] = [await listData(client, 'secrets', {}), await listData(client, 'configs', {})];
  const services = await listServices(client, {});
  const keep = (kind: Kind, name: string, object: { ID: string; Version: { Index: number } }): void => {
    handles.set(handleKey(kind, name), { id: object.ID, version: object.Version.Index });
  };
  for (const node of nodes) keep('node', node.Description.Hostname ?? '', node);
  for (const { Name, Id } of networks) handles.set(handleKey('network', Name), { id: Id, version: 0 });
  for (const secret of secrets) keep('secret', secret.Spec.Name, secret);
  for (const config of configs) keep('config', config.Spec.Name, config);
  for (const service of services) {
    keep('service', service.Spec.Name ?? '', service);
    const state = service.UpdateStatus?.State ?? '';
    if (UNFINISHED.has(state)) {
      remarks.set(handleKey('service', service.Spec.Name ?? ''), [
        `its update there is ${state}: this is the spec it goes to`,
      ]);
    }
  }
  for (const network of networks) {
    const said = networkRemarks(network);
    if (said.length > 0) remarks.set(handleKey('network', network.Name), said);
  }
  const names = {
    networks: await networkNames(client, networks, services),
    secrets: namesById(secrets),
    configs: namesById(configs),
  };
  const specs = services.map((service) => {
    const spec = canonicalServiceSpec(service.Spec);
    return withNames(options.fixPorts === true ? withFixedPorts(spec, service) : spec, names);
  });
  const objects: ClusterObjects = {
    cluster: cluster.Spec,
    nodes: byName(nodes.map(portableNode), ({ Hostname }) => Hostname),
    networks: byName(networks.map(networkSpecOf), ({ Name }) => Name),
    secrets: byName(
      secrets.map(({ Spec }) => dataSpecOf(Spec)),
      ({ Name }) => Name,
    ),
    configs: byName(
      configs.map(({ Spec }) => dataSpecOf(Spec)),
      ({ Name }) => Name,
    ),
    services: byName(specs, ({ Name = '' }) => Name),
  };
  return { objects, handles, remarks };
}

/** A host that left and came back is listed twice: only the one that answers counts, if one does. */
function presentNodes(nodes: readonly ApiNode[]): ApiNode[] {
  const byHost = new Map<string, ApiNode>();
  for (const node of nodes) {
    const name = node.Description.Hostname ?? '';
    if (name === '') continue;
    const other = byHost.get(name);
    if (other !== undefined && other.Status.State === 'ready' && node.Status.State === 'ready') {
      throw new CommandError(
        `two nodes are called ${name} (${other.ID}, ${node.ID}): nodes are matched by their names`,
      );
    }
    if (other === undefined || node.Status.State === 'ready') byHost.set(name, node);
  }
  return [...byHost.values()];
}

function portableNode({ ID, Spec, Description }: ApiNode): PortableNode {
  return {
    Hostname: Description.Hostname ?? '',
    ID,
    Role: Spec.Role ?? 'worker',
    Availability: Spec.Availability ?? 'active',
    Labels: Spec.Labels ?? {},
  };
}

/** Networks of the whole cluster, but for the mesh's own. */
async function readNetworks(client: Client): Promise<ListedNetwork[]> {
  const listed: ListedNetwork[] = await listNetworks(client, { scope: ['swarm'] });
  return listed.filter(({ Ingress, Scope }) => Ingress !== true && Scope === 'swarm');
}

function networkRemarks(network: ListedNetwork): string[] {
  const from = network.ConfigFrom?.Network ?? '';
  return [
    ...(from === '' ? [] : [`its settings come from the network ${from} of each node: that is not carried over`]),
    ...(network.EnableIPv4 === false ? ['it is without IPv4 there: that is not carried over'] : []),
  ];
}

function namesById(objects: readonly ApiData[]): Map<string, string> {
  return new Map(objects.map(({ ID, Spec }) => [ID, Spec.Name]));
}

/** Names of all networks that services refer to; lists leave out those that every engine has. */
async function networkNames(
  client: Client,
  listed: readonly ListedNetwork[],
  services: readonly ApiService[],
): Promise<Map<string, string>> {
  const names = new Map(listed.map(({ Id, Name }) => [Id, Name]));
  const targets = services.flatMap(({ Spec }) => canonicalServiceSpec(Spec).TaskTemplate?.Networks ?? []);
  for (const { Target = '' } of targets) {
    if (names.has(Target)) continue;
    try {
      const { Name } = await client.get<ListedNetwork>(objectPath('networks', Target), { query: { scope: 'swarm' } });
      names.set(Target, Name);
    } catch (thrown) {
      // Its service is then held back, by the ID: that network is gone.
      if (!isNotFound(thrown)) throw thrown;
    }
  }
  return names;
}

function withFixedPorts(spec: ServiceSpec, { Endpoint }: ApiService): ServiceSpec {
  const given = [...(Endpoint?.Ports ?? [])];
  const fix = (port: PortConfig): PortConfig => {
    if (port.PublishedPort || port.PublishMode === 'host') return port;
    const at = given.findIndex(({ TargetPort, Protocol = 'tcp', PublishedPort }) => {
      return TargetPort === port.TargetPort && Protocol === port.Protocol && Boolean(PublishedPort);
    });
    return at === -1 ? port : { ...port, PublishedPort: given.splice(at, 1)[0]!.PublishedPort! };
  };
  const Ports = spec.EndpointSpec?.Ports;
  return Ports == null ? spec : { ...spec, EndpointSpec: { ...spec.EndpointSpec, Ports: Ports.map(fix) } };
}

function byName<T>(items: T[], nameOf: (item: T) => string): T[] {
  return items.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}
