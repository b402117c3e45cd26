import {
  compareStates,
  isTerminal,
  type ReadView,
  type Service,
  type ServiceEndpoints,
  type ServiceEndpointTask,
  type Task,
} from '@swarmd/model';

/**
 * Every task of a service with whether the service's name and virtual IPs lead there, and why not. By this state of the
 * store, which is what all nodes are told; what a single node makes of it the doctor finds. Pure.
 */
export function serviceEndpoints(view: ReadView, service: Service): ServiceEndpoints {
  const tasks = [...view.find('task', 'service', service.ID)];
  const alive = new Set(tasks.filter(({ Status }) => !isTerminal(Status.State)).map(placeOf));
  const order = ['in', 'draining', 'out'];
  return {
    ServiceID: service.ID,
    ServiceName: service.Spec.Name ?? '',
    Mode: service.Spec.EndpointSpec?.Mode || 'vip',
    VirtualIPs: (service.Endpoint?.VirtualIPs ?? []).map(({ NetworkID, Addr }) => place(view, NetworkID, Addr)),
    Ports: (service.Endpoint?.Ports ?? []).map(({ Protocol, PublishedPort, TargetPort, PublishMode }) => ({
      ...{ Protocol: Protocol || 'tcp', PublishedPort: PublishedPort ?? 0, TargetPort: TargetPort ?? 0 },
      PublishMode: PublishMode || 'ingress',
    })),
    Tasks: newestFirst(tasks)
      .filter((task, i, all) => {
        if (!isTerminal(task.Status.State)) return true;
        // The last of a slot tells why there is none.
        return !alive.has(placeOf(task)) && all.findIndex((other) => placeOf(other) === placeOf(task)) === i;
      })
      .map((task) => endpointOfTask(view, service, task))
      .sort(
        (a, b) =>
          order.indexOf(a.Endpoint) - order.indexOf(b.Endpoint) ||
          a.Name.localeCompare(b.Name, 'en', { numeric: true }),
      ),
  };
}

/** One task as {@link serviceEndpoints} shows it. */
export function endpointOfTask(view: ReadView, service: Service, task: Task): ServiceEndpointTask {
  const Addresses = (task.NetworksAttachments ?? []).flatMap(({ Network, Addresses: given }) =>
    given.map((address) => place(view, Network.ID, address)),
  );
  return {
    ID: task.ID,
    Name: taskLabel(view, task),
    NodeID: task.NodeID,
    Hostname: view.get('node', task.NodeID)?.Description?.Hostname ?? '',
    State: task.Status.State,
    DesiredState: task.DesiredState,
    Addresses,
    ...judge(view, service, task),
  };
}

type Verdict = Pick<ServiceEndpointTask, 'Endpoint' | 'Why'>;

function judge(view: ReadView, service: Service, task: Task): Verdict {
  const { State, Err = '', Message } = task.Status;
  const out = (Why: string): Verdict => ({ Endpoint: 'out', Why });
  if (task.NodeID === '')
    return out(Err === '' ? 'it has no node yet: see "swarmctl why"' : `it has no node yet: ${Err}`);
  if (isTerminal(State)) return out(`it has ended (${State})${Err === '' ? '' : `: ${Err}`}`);
  const node = view.get('node', task.NodeID);
  if (node === undefined) return out('its node has been removed');
  if (compareStates(State, 'assigned') < 0) return out(`it is ${State}`);
  if (node.DataPath === undefined) return out('its node takes no part in overlay networks: see "docker info" there');
  if ((task.NetworksAttachments ?? []).length === 0) return out('it has no address: it is on no overlay network');
  if (node.Status.State === 'down')
    return {
      Endpoint: 'draining',
      Why: `its node is down${node.Status.Message ? `: ${node.Status.Message}` : ''}`,
    };
  if (service.PendingDelete) return { Endpoint: 'draining', Why: 'the service is being removed' };
  if (compareStates(task.DesiredState, 'shutdown') >= 0)
    return { Endpoint: 'draining', Why: `it is to stop (desired state ${task.DesiredState})` };
  if (State === 'running') return { Endpoint: 'in', Why: '' };
  const detail = Err || Message;
  if (State === 'starting') return out('it starts, or its health check has not passed yet');
  if (State === 'ready' && task.DesiredState === 'ready') return out('it is ready, and waits for its turn to start');
  if (State === 'ready') return out('it starts once all nodes know its address');
  return out(`it does not run yet (${State})${detail === '' ? '' : `: ${detail}`}`);
}

/** What people call a task: `service.slot`, of global services `service.host`. */
export function taskLabel(view: ReadView, { ServiceName, Slot, NodeID }: Task): string {
  return `${ServiceName}.${Slot > 0 ? Slot : (view.get('node', NodeID)?.Description?.Hostname ?? NodeID)}`;
}

function placeOf({ Slot, NodeID }: Task): string {
  return Slot > 0 ? String(Slot) : NodeID;
}

function place(view: ReadView, NetworkID: string, address: string) {
  const Network = view.get('network', NetworkID)?.Spec.Name ?? NetworkID;
  return { Network, NetworkID, Address: address.split('/')[0]! };
}

function newestFirst(tasks: Task[]): Task[] {
  return tasks.sort((a, b) => compare(b.CreatedAt, a.CreatedAt) || compare(a.ID, b.ID));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
