import { isDeepStrictEqual } from 'node:util';
import type { Clock, PortConfig, Service, Store, StoreEvent, Task, WriteTx } from '@swarmd/model';
import type { Logger } from 'pino';
import { type Loop, startLoop } from '../loop/loop.js';
import { allocatePorts, isIngress, portKey } from './ports.js';

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
  return startLoop<string>(
    {
      name: 'allocator',
      dirtiedBy: (event, mark) => markServices(event, store, mark),
      allKeys: () => [...store.view.all('service')].map((service) => service.ID),
      pass: async (serviceIds, { signal }) => {
        // One transaction for all: services compete for ports in a set order.
        await store.update((tx) => {
          for (const serviceId of [...serviceIds].sort()) allocateService(tx, serviceId);
        });
        signal.throwIfAborted();
      },
    },
    { store, clock, logger },
  );
}

function allocateService(tx: WriteTx, serviceId: string): void {
  const service = tx.get('service', serviceId);
  if (service === undefined || service.PendingDelete) return;
  const allocation = allocatePorts(service, needsPorts(service) ? portsInUse(tx, serviceId) : new Set());
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

function portsInUse(tx: WriteTx, except: string): Set<string> {
  const inUse = new Set<string>();
  for (const service of tx.all('service')) {
    if (service.ID === except || service.PendingDelete) continue;
    for (const port of service.Endpoint?.Ports ?? []) if (isIngress(port)) inUse.add(portKey(port));
  }
  return inUse;
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
