import { isDeepStrictEqual } from 'node:util';
import type { Clock, PortConfig, Service, Store, StoreEvent, Task, WriteTx } from '@swarmd/model';
import type { Logger } from 'pino';
import { eachKey } from '../loop/each-key.js';
import { type Loop, startLoop } from '../loop/loop.js';
import { allocatePorts, isIngress, type OtherPorts, type PortAllocation, portKey } from './ports.js';

/** What the allocator needs. */
export interface AllocatorDependencies {
  store: Store;
  clock: Clock;
  logger: Logger;
}

/**
 * Gives services their endpoints and takes new tasks on to `pending`. A service whose ports cannot be had keeps its
 * tasks `new` with the reason in `Status.Err`; freed ports are tried again at once.
 */
export function startAllocator({ store, clock, logger }: AllocatorDependencies): Loop {
  const allocateEach = eachKey<string>((serviceId) => store.update((tx) => allocateService(tx, serviceId)));
  return startLoop<string>(
    {
      name: 'allocator',
      dirtiedBy: (event, mark) => markServices(event, store, mark),
      allKeys: () => [...store.view.all('service')].map((service) => service.ID),
      // In a set order: services compete for ports.
      pass: (serviceIds, context) => allocateEach(new Set([...serviceIds].sort()), context),
    },
    { store, clock, logger },
  );
}

function allocateService(tx: WriteTx, serviceId: string): void {
  const service = tx.get('service', serviceId);
  if (service === undefined || service.PendingDelete) return;
  const allocation = allocate(tx, service);
  if ('endpoint' in allocation && !isDeepStrictEqual(allocation.endpoint, service.Endpoint)) {
    tx.put('service', { ...service, Endpoint: allocation.endpoint });
  }
  for (const task of tx.find('task', 'service', serviceId)) {
    if (task.Status.State !== 'new' || task.DesiredState === 'remove') continue;
    if ('error' in allocation) {
      if (task.Status.Err !== allocation.error)
        tx.put('task', { ...task, Status: { ...task.Status, Err: allocation.error } });
    } else {
      tx.put('task', pendingTask(task, allocation.endpoint.Ports, tx.now));
    }
  }
}

/** What a service was given stands as long as it asks for the same. */
function allocate(tx: WriteTx, service: Service): PortAllocation {
  const { Endpoint, Spec } = service;
  if (Endpoint !== undefined && isDeepStrictEqual(Endpoint.Spec, Spec.EndpointSpec)) return { endpoint: Endpoint };
  return allocatePorts(service, needsPorts(service) ? portsOfOthers(tx, service.ID) : NO_PORTS);
}

/** The seam where addresses on networks will be given, too. */
function pendingTask(task: Task, ports: readonly PortConfig[] | undefined, now: string): Task {
  return {
    ...task,
    ...(ports !== undefined && ports.length > 0 ? { Endpoint: { Ports: [...ports] } } : {}),
    Status: { Timestamp: now, State: 'pending', Message: 'pending task scheduling', AppliedAt: now },
  };
}

function needsPorts(service: Service): boolean {
  return (service.Spec.EndpointSpec?.Ports ?? []).some(isIngress);
}

const NO_PORTS: OtherPorts = { taken: new Set(), claimed: new Set() };

function portsOfOthers(tx: WriteTx, serviceId: string): OtherPorts {
  const taken = new Set<string>();
  const claimed = new Set<string>();
  for (const service of tx.all('service')) {
    if (service.ID === serviceId || service.PendingDelete) continue;
    for (const port of service.Endpoint?.Ports ?? []) if (isIngress(port)) taken.add(portKey(port));
    for (const port of service.Spec.EndpointSpec?.Ports ?? [])
      if (isIngress(port) && port.PublishedPort) claimed.add(portKey(port));
  }
  return { taken, claimed };
}

function markServices(event: StoreEvent, store: Store, mark: (serviceId: string) => void): void {
  if (event.table === 'task') {
    if (event.kind === 'create' && event.object.Status.State === 'new') mark(event.object.ServiceID);
  } else if (event.table === 'service') {
    mark(event.object.ID);
    const freed =
      event.kind === 'delete' ||
      (event.kind === 'update' && event.object.Endpoint !== event.previous?.Endpoint) ||
      event.object.PendingDelete;
    if (!freed) return;
    for (const service of store.view.all('service')) if (needsPorts(service)) mark(service.ID);
  }
}
