import { isDeepStrictEqual } from 'node:util';
import {
  compareStates,
  isTerminal,
  type Network,
  type NetworkEndpoint,
  type Node,
  type ReadView,
  type Task,
} from '@swarmd/model';
import type { AgentHost } from './agent-host.js';

/** Whether every node has a network. */
export function isEverywhere(network: Network | undefined): boolean {
  return network?.Allocation !== undefined && Boolean(network.Spec.Attachable || network.Spec.Ingress);
}

/** An address without its prefix length. */
export function withoutPrefix(address: string): string {
  return address.replace(/\/.*/, '');
}

/** The phase in which others are to know a task; `undefined` when they are to know nothing of it. */
export function phaseOf(view: ReadView, task: Task): NetworkEndpoint['phase'] | undefined {
  const { State } = task.Status;
  if (task.NodeID === '' || isTerminal(State) || compareStates(State, 'assigned') < 0) return undefined;
  if (!takesPart(view.get('node', task.NodeID)) || !task.NetworksAttachments?.length) return undefined;
  if (compareStates(task.DesiredState, 'shutdown') >= 0) return 'draining';
  if (view.get('service', task.ServiceID)?.PendingDelete) return 'draining';
  return State === 'running' ? 'ready' : 'reserved';
}

function takesPart(node: Node | undefined): node is Node {
  return node?.DataPath !== undefined && node.Status.State !== 'down';
}

/** Once all is at rest: every node knows of every network that it needs what the store says, and has nothing besides. */
export function checkNetworksAtRest(view: ReadView, agents: ReadonlyMap<string, AgentHost>): string[] {
  const wrong: string[] = [];
  for (const agent of agents.values()) {
    const say = (what: string, has: unknown, wanted: unknown): void => {
      if (!isDeepStrictEqual(has, wanted))
        wrong.push(`${agent.id}: ${what}: has ${JSON.stringify(has)}, wanted ${JSON.stringify(wanted)}`);
    };
    const { swarmdNet, engine } = agent;
    const wanted = wantedNetworks(view, agent.id);
    say('networks', [...swarmdNet.networks.keys()].sort(), wanted);
    const { ids } = engine.networks;
    say(
      'networks of the engine',
      ids.filter((id) => !wanted.includes(id)),
      [],
    );
    say(
      'networks that the engine has twice',
      ids.filter((id, at) => ids.indexOf(id) !== at),
      [],
    );
    for (const id of wanted) {
      say(`members of ${id}`, appliedMembers(agent, id), wantedMembers(view, id));
      const blocks = view.get('node', agent.id)?.AddressBlocks?.[id] ?? [];
      say(`ranges of ${id}`, swarmdNet.networks.get(id)?.addressBlocks, blocks);
    }
    say(
      'peers',
      swarmdNet.config?.peers,
      [...agents.values()]
        .filter((other) => other !== agent)
        .map(({ addr }) => addr)
        .sort(),
    );
    say('published ports', published(swarmdNet.published), wantedPorts(view));
    const attached = engine.attached.map(({ taskId, networkId }) => `${taskId} ${networkId}`);
    const endpoints = [...swarmdNet.endpoints.values()].map(({ taskId, networkId }) => `${taskId} ${networkId}`);
    say(
      'endpoints of nobody',
      endpoints.filter((endpoint) => !attached.includes(endpoint)),
      [],
    );
  }
  return wrong;
}

function wantedNetworks(view: ReadView, nodeId: string): string[] {
  const wanted = new Set<string>();
  for (const network of view.all('network')) if (isEverywhere(network)) wanted.add(network.ID);
  for (const task of view.find('task', 'node', nodeId))
    if (phaseOf(view, task) !== undefined)
      for (const { Network } of task.NetworksAttachments ?? []) wanted.add(Network.ID);
  return [...wanted].sort();
}

function appliedMembers({ swarmdNet }: AgentHost, networkId: string): unknown {
  const { endpoints, services, blocks } = swarmdNet.members.get(networkId) ?? {};
  return {
    endpoints: [...(endpoints?.values() ?? [])]
      .map(({ id, nodeAddr, addresses, phase }) => `${id} ${nodeAddr} ${addresses} ${phase}`)
      .sort(),
    services: [...(services?.values() ?? [])].map(({ id, name, virtualIps }) => `${id} ${name} ${virtualIps}`).sort(),
    blocks: [...(blocks?.values() ?? [])]
      .map(({ nodeId, nodeAddr, ranges }) => `${nodeId} ${nodeAddr} ${ranges}`)
      .sort(),
  };
}

function wantedMembers(view: ReadView, networkId: string): unknown {
  const on = [...view.all('task')].flatMap((task) => {
    const attachment = task.NetworksAttachments?.find(({ Network }) => Network.ID === networkId);
    const phase = attachment && phaseOf(view, task);
    return phase === undefined ? [] : [{ task, addresses: attachment!.Addresses.map(withoutPrefix), phase }];
  });
  const services = [...view.all('service')].flatMap(({ ID, Spec, Endpoint }) => {
    const ips = (Endpoint?.VirtualIPs ?? []).filter(({ NetworkID }) => NetworkID === networkId);
    const named = (Spec.TaskTemplate?.Networks ?? []).some(({ Target }) => Target === networkId);
    if (ips.length === 0 && !named && !on.some(({ task }) => task.ServiceID === ID)) return [];
    return [`${ID} ${Spec.Name} ${ips.map(({ Addr }) => withoutPrefix(Addr))}`];
  });
  const nodeAddr = (id: string): string => view.get('node', id)?.DataPath?.Addr ?? '';
  return {
    endpoints: on
      .map(({ task, addresses, phase }) => `${task.ID} ${nodeAddr(task.NodeID)} ${addresses} ${phase}`)
      .sort(),
    services: services.sort(),
    blocks: [...view.all('node')]
      .filter((node) => takesPart(node) && (node.AddressBlocks?.[networkId] ?? []).length > 0)
      .map(({ ID, AddressBlocks }) => `${ID} ${nodeAddr(ID)} ${AddressBlocks?.[networkId]}`)
      .sort(),
  };
}

function published(services: readonly { serviceId: string; ports: readonly { PublishedPort?: number }[] }[]): string[] {
  return services
    .flatMap(({ serviceId, ports }) => ports.map(({ PublishedPort }) => `${serviceId} ${PublishedPort}`))
    .sort();
}

function wantedPorts(view: ReadView): string[] {
  const services = [...view.all('service')].map(({ ID, Endpoint }) => ({
    serviceId: ID,
    ports: (Endpoint?.Ports ?? []).filter(({ PublishMode }) => PublishMode !== 'host'),
  }));
  return published(services);
}
