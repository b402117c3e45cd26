import { isTerminal, type Network, type Node, type ReadView, type Task, taskName } from '@swarmd/model';

/** Nodes that have a network, as Docker lists them: all that take part in overlays, or those with a task on it. */
export function peersOf(view: ReadView, network: Network): { Name: string; IP: string }[] {
  const everywhere = network.Spec.Attachable || network.Spec.Ingress;
  const having = everywhere ? undefined : new Set([...tasksOn(view, network.ID)].map(({ task }) => task.NodeID));
  const peers: { Name: string; IP: string }[] = [];
  for (const { ID, Description, DataPath } of view.all('node')) {
    if (DataPath === undefined || having?.has(ID) === false) continue;
    peers.push({ Name: Description?.Hostname || ID, IP: DataPath.Addr });
  }
  return peers.sort((a, b) => (a.Name < b.Name ? -1 : 1));
}

interface ServiceMembers {
  VIP: string;
  Ports: string[];
  LocalLBIndex: number;
  Tasks: { Name: string; EndpointID: string; EndpointIP: string; Info: { 'Host IP': string } }[];
}

/** What a network has no address of, as Go writes it. */
const NO_IP = '<nil>';

/**
 * Docker's `Services` of a network, by name: virtual IP, ports of the ingress network, and the tasks that run. Containers
 * that are no tasks stand under the empty name. An endpoint's ID is its task's: the engine's is known on its node alone.
 */
export function servicesOf(view: ReadView, network: Network): Record<string, ServiceMembers> {
  const members: Record<string, ServiceMembers> = {};
  for (const { ID, Spec, Endpoint, PendingDelete } of view.all('service')) {
    const vip = Endpoint?.VirtualIPs?.find(({ NetworkID }) => NetworkID === network.ID);
    const attached = Spec.TaskTemplate?.Networks?.some(({ Target }) => Target === network.ID);
    if (PendingDelete || !(vip || attached)) continue;
    const ports = network.Spec.Ingress ? (Endpoint?.Ports ?? []) : [];
    members[Spec.Name ?? ID] = {
      VIP: vip === undefined ? NO_IP : bare(vip.Addr),
      Ports: ports.flatMap(({ PublishMode, TargetPort, PublishedPort }) =>
        PublishMode === 'host' ? [] : [`Target: ${TargetPort}, Publish: ${PublishedPort}`],
      ),
      LocalLBIndex: 0,
      Tasks: [],
    };
  }
  for (const { task, address } of tasksOn(view, network.ID)) {
    if (task.Status.State !== 'running') continue;
    const Info = { 'Host IP': hostIp(view.get('node', task.NodeID)) };
    members[task.ServiceName]?.Tasks.push({ Name: taskName(task), EndpointID: task.ID, EndpointIP: address, Info });
  }
  for (const node of view.all('node'))
    for (const { NetworkID, ContainerID, Addresses, Names } of node.Attachments ?? []) {
      if (NetworkID !== network.ID) continue;
      members[''] ??= { VIP: NO_IP, Ports: [], LocalLBIndex: 0, Tasks: [] };
      const EndpointIP = Addresses[0] ?? NO_IP;
      const Info = { 'Host IP': hostIp(node) };
      members[''].Tasks.push({ Name: Names[0] ?? ContainerID, EndpointID: ContainerID, EndpointIP, Info });
    }
  return members;
}

function* tasksOn(view: ReadView, networkId: string): Iterable<{ task: Task; address: string }> {
  for (const task of view.all('task')) {
    if (task.NodeID === '' || isTerminal(task.Status.State)) continue;
    const attachment = task.NetworksAttachments?.find(({ Network }) => Network.ID === networkId);
    if (attachment !== undefined) yield { task, address: bare(attachment.Addresses[0] ?? NO_IP) };
  }
}

const hostIp = (node: Node | undefined): string => node?.DataPath?.Addr ?? node?.Status.Addr ?? '';
const bare = (address: string): string => address.replace(/\/.*/, '');
