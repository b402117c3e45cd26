import { isDeepStrictEqual } from 'node:util';
import type { Endpoint, NetworkAttachment, PortConfig, Service, Task, WriteTx } from '@swarmd/model';
import type { Giving } from './giving.js';
import { ingressOf } from './ingress.js';
import { reclaimBlocks } from './node-blocks.js';
import { allocatePorts, isIngress, type OtherPorts, type PortAllocation, portKey } from './ports.js';
import { attachmentsFor, type Shortage, virtualIpsFor } from './service-addresses.js';

/**
 * Gives a service its ports and virtual IPs, and its new tasks their addresses. Returns what addresses it is short of;
 * ranges of nodes are given back for that.
 */
export function allocateServiceIn(tx: WriteTx, serviceId: string, giving: Giving): Shortage | undefined {
  const service = tx.get('service', serviceId);
  if (service === undefined || service.PendingDelete) return undefined;
  const ports = allocate(tx, service);
  const ingress = ingressOf(tx);
  const { virtualIps, shortage: missing } = virtualIpsFor(tx, service, ingress, giving);
  const { VirtualIPs: _, ...rest } = 'endpoint' in ports ? ports.endpoint : (service.Endpoint ?? { Spec: {} });
  const endpoint: Endpoint = virtualIps.length > 0 ? { ...rest, VirtualIPs: virtualIps } : rest;
  const unchanged = 'error' in ports && virtualIps.length === 0 && service.Endpoint === undefined;
  if (!unchanged && !isDeepStrictEqual(endpoint, service.Endpoint))
    tx.put('service', { ...service, Endpoint: endpoint });
  let shortage = missing;
  for (const task of tx.find('task', 'service', serviceId)) {
    if (task.Status.State !== 'new' || task.DesiredState === 'remove') continue;
    const error = 'error' in ports ? ports.error : missing?.error;
    const attachments = error === undefined ? attachmentsFor(tx, task, service, ingress, giving) : undefined;
    if (attachments !== undefined && 'error' in attachments) shortage ??= attachments;
    const reason = error ?? (attachments !== undefined && 'error' in attachments ? attachments.error : undefined);
    if (reason === undefined)
      tx.put('task', pendingTask(task, endpoint.Ports, attachments as NetworkAttachment[], tx.now));
    else if (task.Status.Err !== reason) tx.put('task', { ...task, Status: { ...task.Status, Err: reason } });
  }
  if (shortage !== undefined && shortage.networkId !== '') reclaimBlocks(tx, shortage.networkId);
  return shortage;
}

/** What a service was given stands as long as it asks for the same. */
function allocate(tx: WriteTx, service: Service): PortAllocation {
  const { Endpoint, Spec } = service;
  if (Endpoint !== undefined && isDeepStrictEqual(Endpoint.Spec, Spec.EndpointSpec)) return { endpoint: Endpoint };
  return allocatePorts(service, needsPorts(service) ? portsOfOthers(tx, service.ID) : NO_PORTS);
}

function pendingTask(
  task: Task,
  ports: readonly PortConfig[] | undefined,
  attachments: NetworkAttachment[] | undefined,
  now: string,
): Task {
  return {
    ...task,
    ...(ports !== undefined && ports.length > 0 ? { Endpoint: { Ports: [...ports] } } : {}),
    ...(attachments === undefined ? {} : { NetworksAttachments: attachments }),
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
