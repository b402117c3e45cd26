import { isIP } from 'node:net';
import {
  type ForeignAttachment,
  isTerminal,
  type Node,
  type ReadView,
  type Service,
  SwarmdError,
  type Task,
  type TraceEnd,
  taskName,
} from '@swarmd/model';
import { specNetworks } from '../dispatcher/endpoints/endpoint-set.js';
import { taskLabel } from './service-endpoints.js';

/** What a trace begins or ends at. */
export interface End {
  shown: TraceEnd;
  task?: Task;
  service?: Service;
}

/**
 * What `ref` means as the beginning of a trace: a task (ID, name, `service.slot`), a running task of a service, a container
 * (ID or name) or the address of one. `not-found` naming what was looked for.
 */
export function findSource(view: ReadView, ref: string): End {
  const end = findTask(view, ref) ?? findContainer(view, ref) ?? ofService(view, ref) ?? findAddress(view, ref);
  if (end === undefined || end.service !== undefined || end.shown.Kind === 'address')
    throw new SwarmdError('not-found', `no task or container of the cluster's networks is called ${ref}`, {
      field: 'from',
    });
  return end;
}

/**
 * What `ref` means as the end of a trace that begins at `source`: a service or its alias on a network of the source, a
 * task, a container or an address. `not-found` naming what was looked for.
 */
export function findDestination(view: ReadView, ref: string, source: End): End {
  const end =
    findService(view, ref, source) ?? findTask(view, ref) ?? findContainer(view, ref) ?? findAddress(view, ref);
  if (end === undefined)
    throw new SwarmdError('not-found', `no service, task or container of the cluster's networks is called ${ref}`, {
      field: 'to',
    });
  return end;
}

function findTask(view: ReadView, ref: string): End | undefined {
  const exact = view.get('task', ref) ?? view.get('task', ref.slice(ref.lastIndexOf('.') + 1));
  if (exact !== undefined && (exact.ID === ref || taskName(exact) === ref)) return ofTask(view, exact);
  const dot = ref.lastIndexOf('.');
  if (dot > 0) {
    const [name, place] = [ref.slice(0, dot), ref.slice(dot + 1)];
    const tasks = [...view.all('task')].filter((task) => task.ServiceName === name);
    const at = tasks.filter(
      (task) => String(task.Slot || task.NodeID) === place || hostnameOf(view, task.NodeID) === place,
    );
    const found = latest(at);
    if (found !== undefined) return ofTask(view, found);
  }
  if (ref.length < 4) return undefined;
  const prefixed = [...view.all('task')].filter(({ ID }) => ID.startsWith(ref));
  return prefixed.length === 1 ? ofTask(view, prefixed[0]!) : undefined;
}

/** Of several the one that matters: alive before ended, wanted before unwanted, the newest. */
function latest(tasks: readonly Task[]): Task | undefined {
  const rank = (task: Task): number =>
    (task.Status.State === 'running' ? 4 : 0) +
    (isTerminal(task.Status.State) ? 0 : 2) +
    (task.DesiredState === 'running' ? 1 : 0);
  const age = (a: Task, b: Task): number =>
    a.CreatedAt === b.CreatedAt ? a.Slot - b.Slot : a.CreatedAt < b.CreatedAt ? 1 : -1;
  return [...tasks].sort((a, b) => rank(b) - rank(a) || age(a, b))[0];
}

function ofService(view: ReadView, ref: string): End | undefined {
  const service = serviceNamed(view, ref);
  const task = service && latest([...view.find('task', 'service', service.ID)]);
  return task && ofTask(view, task);
}

function serviceNamed(view: ReadView, ref: string): Service | undefined {
  const services = [view.get('service', ref), ...view.find('service', 'name', ref.toLowerCase())];
  return services.find((service) => service !== undefined && !service.PendingDelete);
}

function findService(view: ReadView, ref: string, source: End): End | undefined {
  // `tasks.NAME` is found by the same tasks, without the virtual IP.
  const service = serviceNamed(view, ref) ?? serviceNamed(view, ref.replace(/^tasks\./, ''));
  if (service !== undefined) return shownService(view, service);
  const on = new Set(source.shown.Addresses.map(({ NetworkID }) => NetworkID));
  for (const candidate of view.all('service')) {
    if (candidate.PendingDelete) continue;
    const aliased = specNetworks(candidate.Spec).some(
      ({ Target = '', Aliases }) => on.has(Target) && (Aliases ?? []).includes(ref),
    );
    if (aliased) return shownService(view, candidate);
  }
  return undefined;
}

function findContainer(view: ReadView, ref: string): End | undefined {
  for (const node of view.all('node')) {
    const mine = (node.Attachments ?? []).filter(({ ContainerID, Names }) => {
      return Names.includes(ref) || (ref.length >= 8 && ContainerID.startsWith(ref));
    });
    if (mine.length > 0) return ofContainer(view, node, mine);
  }
  return undefined;
}

function findAddress(view: ReadView, ref: string): End | undefined {
  if (isIP(ref) === 0) return undefined;
  const has = (addresses: readonly string[]): boolean => addresses.some((address) => withoutPrefix(address) === ref);
  const tasks = [...view.all('task')].filter((task) =>
    task.NetworksAttachments?.some(({ Addresses }) => has(Addresses)),
  );
  const task = latest(tasks.filter(({ Status }) => !isTerminal(Status.State)));
  if (task !== undefined) return ofTask(view, task);
  for (const node of view.all('node')) {
    const mine = (node.Attachments ?? []).filter(({ Addresses }) => has(Addresses));
    if (mine.length > 0) return ofContainer(view, node, mine);
  }
  for (const service of view.all('service'))
    if (has((service.Endpoint?.VirtualIPs ?? []).map(({ Addr }) => Addr))) return shownService(view, service);
  const nowhere = {
    ID: '',
    Name: ref,
    NodeID: '',
    Hostname: '',
    Addresses: [{ Network: '', NetworkID: '', Address: ref }],
  };
  return { shown: { Kind: 'address', ...nowhere } };
}

function ofTask(view: ReadView, task: Task): End {
  const Addresses = (task.NetworksAttachments ?? []).flatMap(({ Network, Addresses: given }) =>
    given.map((address) => place(view, Network.ID, address)),
  );
  const node = { NodeID: task.NodeID, Hostname: hostnameOf(view, task.NodeID) };
  return { task, shown: { Kind: 'task', ID: task.ID, Name: taskLabel(view, task), ...node, Addresses } };
}

function ofContainer(view: ReadView, { ID, Description }: Node, attachments: readonly ForeignAttachment[]): End {
  const { ContainerID, Names } = attachments[0]!;
  const Addresses = attachments
    .filter((attachment) => attachment.ContainerID === ContainerID)
    .flatMap((attachment) => attachment.Addresses.map((address) => place(view, attachment.NetworkID, address)));
  const node = { NodeID: ID, Hostname: Description?.Hostname ?? '' };
  return {
    shown: { Kind: 'container', ID: ContainerID, Name: Names[0] ?? ContainerID.slice(0, 12), ...node, Addresses },
  };
}

function shownService(view: ReadView, service: Service): End {
  const Addresses = (service.Endpoint?.VirtualIPs ?? []).map(({ NetworkID, Addr }) => place(view, NetworkID, Addr));
  const about = { ID: service.ID, Name: service.Spec.Name ?? service.ID, NodeID: '', Hostname: '' };
  return { service, shown: { Kind: 'service', ...about, Addresses } };
}

function place(view: ReadView, NetworkID: string, address: string): TraceEnd['Addresses'][number] {
  return {
    Network: view.get('network', NetworkID)?.Spec.Name ?? NetworkID,
    NetworkID,
    Address: withoutPrefix(address),
  };
}

function hostnameOf(view: ReadView, nodeId: string): string {
  return view.get('node', nodeId)?.Description?.Hostname ?? '';
}

function withoutPrefix(address: string): string {
  return address.split('/')[0]!;
}
