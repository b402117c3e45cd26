import {
  compareStates,
  type ForeignAttachment,
  isTerminal,
  type Node,
  type ReadView,
  type Service,
  type ServiceSpec,
  specKey,
  type Task,
  taskName,
} from '@swarmd/model';
import { type NetworkEndpoint, NetworkEndpoint_Phase, type NetworkService, type NodeBlocks } from '@swarmd/wire';

/** Who is on one network. */
export interface EndpointSet {
  /** By ID of the task or container. */
  endpoints: Map<string, NetworkEndpoint>;
  /** By ID. */
  services: Map<string, NetworkService>;
  /** By node ID. */
  blocks: Map<string, NodeBlocks>;
}

/**
 * Who is on a network by this state of the store: tasks that are assigned and have not ended, and other containers, on
 * nodes that are part of the data path; the services they are found by; and the ranges of such nodes. Of a node that is
 * down nobody is sent to, but what is there stays reachable: perhaps only its swarmd does not run, and its containers do.
 */
export function endpointsOf(view: ReadView, networkId: string): EndpointSet {
  const set: EndpointSet = { endpoints: new Map(), services: new Map(), blocks: new Map() };
  for (const task of view.all('task')) {
    const endpoint = taskEndpoint(view, task, networkId);
    if (endpoint !== undefined) set.endpoints.set(endpoint.id, endpoint);
  }
  const present = new Set([...set.endpoints.values()].map(({ serviceId }) => serviceId));
  for (const node of view.all('node')) {
    for (const endpoint of foreignEndpoints(node, networkId)) set.endpoints.set(endpoint.id, endpoint);
    const blocks = nodeBlocks(node, networkId);
    if (blocks !== undefined) set.blocks.set(node.ID, blocks);
  }
  for (const { ID } of view.all('service')) {
    const service = networkService(view, ID, networkId, present.has(ID));
    if (service !== undefined) set.services.set(ID, service);
  }
  return set;
}

/** A task's endpoint on a network; `undefined` when it has none, or none that others are to know of. */
export function taskEndpoint(view: ReadView, task: Task, networkId: string): NetworkEndpoint | undefined {
  const attachment = task.NetworksAttachments?.find(({ Network }) => Network.ID === networkId);
  if (attachment === undefined || task.NodeID === '') return undefined;
  if (compareStates(task.Status.State, 'assigned') < 0 || isTerminal(task.Status.State)) return undefined;
  const nodeAddr = view.get('node', task.NodeID)?.DataPath?.Addr;
  if (nodeAddr === undefined) return undefined;
  return {
    id: task.ID,
    serviceId: task.ServiceID,
    nodeId: task.NodeID,
    nodeAddr,
    addresses: attachment.Addresses.map(withoutPrefix),
    phase: taskPhase(view, task),
    names: namesOf(view, task),
  };
}

/** The phase of a task that is assigned and has not ended. */
export function taskPhase(view: ReadView, task: Task): NetworkEndpoint_Phase {
  const unwanted = compareStates(task.DesiredState, 'shutdown') >= 0;
  if (unwanted || view.get('service', task.ServiceID)?.PendingDelete) return NetworkEndpoint_Phase.PHASE_DRAINING;
  if (isDown(view.get('node', task.NodeID))) return NetworkEndpoint_Phase.PHASE_DRAINING;
  if (task.Status.State === 'running') return NetworkEndpoint_Phase.PHASE_READY;
  return NetworkEndpoint_Phase.PHASE_RESERVED;
}

/** The containers besides tasks that a node has on a network. */
export function foreignEndpoints(node: Node, networkId: string): NetworkEndpoint[] {
  const nodeAddr = node.DataPath?.Addr;
  if (nodeAddr === undefined) return [];
  const here = (node.Attachments ?? []).filter(({ NetworkID }) => NetworkID === networkId);
  return here.map((attachment) => foreignEndpoint(node, nodeAddr, attachment));
}

function foreignEndpoint(
  node: Node,
  nodeAddr: string,
  { ContainerID, Addresses, Names }: ForeignAttachment,
): NetworkEndpoint {
  const phase = isDown(node) ? NetworkEndpoint_Phase.PHASE_DRAINING : NetworkEndpoint_Phase.PHASE_READY;
  const nodeId = node.ID;
  return { id: ContainerID, serviceId: '', nodeId, nodeAddr, addresses: [...Addresses], phase, names: [...Names] };
}

/** The ranges of a network that a node has to give; `undefined` when it has none. */
export function nodeBlocks(node: Node, networkId: string): NodeBlocks | undefined {
  const ranges = node.AddressBlocks?.[networkId] ?? [];
  const nodeAddr = node.DataPath?.Addr;
  if (nodeAddr === undefined || ranges.length === 0) return undefined;
  return { nodeId: node.ID, nodeAddr, ranges: [...ranges] };
}

/**
 * How a service is found on a network; `present` says whether a task of it is there. One that is being removed has no
 * name any more, and is there as long as its tasks are: connections to its virtual IPs go on.
 */
export function networkService(
  view: ReadView,
  serviceId: string,
  networkId: string,
  present: boolean,
): NetworkService | undefined {
  const service = view.get('service', serviceId);
  if (service === undefined) return undefined;
  const config = specNetworks(service.Spec).find(({ Target }) => Target === networkId);
  const given = (service.Endpoint?.VirtualIPs ?? []).filter(({ NetworkID }) => NetworkID === networkId);
  const wanted = !service.PendingDelete && (config !== undefined || given.length > 0);
  if (!present && !wanted) return undefined;
  return {
    id: serviceId,
    name: service.PendingDelete ? '' : (service.Spec.Name ?? ''),
    aliases: service.PendingDelete ? [] : [...(config?.Aliases ?? [])],
    virtualIps: given.map(({ Addr }) => withoutPrefix(Addr)),
    ports: publishedPorts(view, service, networkId),
  };
}

/** JSON of the ports that a service publishes by the ingress network; empty on others, and when there are none. */
function publishedPorts(view: ReadView, service: Service, networkId: string): Buffer {
  if (service.PendingDelete || !view.get('network', networkId)?.Spec.Ingress) return Buffer.alloc(0);
  const published = (service.Endpoint?.Ports ?? []).filter(
    ({ PublishMode, PublishedPort }) => PublishMode !== 'host' && (PublishedPort ?? 0) > 0,
  );
  return Buffer.from(published.length === 0 ? '' : JSON.stringify(published));
}

/** The networks that a service's spec names, by ID as control resolves them. */
export function specNetworks({ TaskTemplate, Networks }: ServiceSpec) {
  return TaskTemplate?.Networks ?? Networks ?? [];
}

function isDown(node: Node | undefined): boolean {
  return node?.Status.State === 'down';
}

/** The container's name and hostname: those with a template only the node itself knows. */
function namesOf(view: ReadView, task: Task): string[] {
  const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec;
  const hostname = spec?.TaskTemplate?.ContainerSpec?.Hostname ?? '';
  const name = taskName(task);
  return hostname === '' || hostname === name || hostname.includes('{{') ? [name] : [name, hostname];
}

function withoutPrefix(address: string): string {
  const slash = address.indexOf('/');
  return slash < 0 ? address : address.slice(0, slash);
}
