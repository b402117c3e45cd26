import { isTerminal, type Network, type ReadView, type ServiceSpec, specKey } from '@swarmd/model';
import { publishesIngress } from '../allocator/service-addresses.js';
import { rpcError } from './errors.js';

const attached = (spec: ServiceSpec | undefined, id: string): boolean =>
  (spec?.TaskTemplate?.Networks ?? []).some((attachment) => attachment.Target === id);

/**
 * Who holds a network: a service whose spec names it, a task that is on it, or another container. Tasks of a service that
 * is being removed do not: a stack's networks go with its services.
 */
export function userOf(view: ReadView, id: string): string | undefined {
  for (const service of view.all('service')) {
    if (!service.PendingDelete && attached(service.Spec, id)) return `service ${service.ID}`;
  }
  for (const task of view.all('task')) {
    if (isTerminal(task.Status.State)) continue;
    const own = task.NetworksAttachments?.some(({ Network }) => Network.ID === id);
    const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec;
    if (!(own || attached(spec, id))) continue;
    const service = view.get('service', task.ServiceID);
    if (service !== undefined && !service.PendingDelete) return `task ${task.ID}`;
  }
  for (const { ID, Description, Attachments } of view.all('node')) {
    const container = Attachments?.find(({ NetworkID }) => NetworkID === id);
    if (container !== undefined) return `container ${container.ContainerID} on node ${Description?.Hostname ?? ID}`;
  }
  return undefined;
}

/** Throws `failed-precondition`, in Docker Swarm's words, while a network is in use. */
export function checkUnused(view: ReadView, { ID, Spec }: Network): void {
  if (Spec.Ingress) {
    for (const service of view.all('service')) {
      if (service.PendingDelete || !publishesIngress(service.Spec)) continue;
      const message = `ingress network cannot be removed because service ${service.ID} depends on it`;
      throw rpcError('failed-precondition', message);
    }
  }
  const user = userOf(view, ID);
  if (user !== undefined) throw rpcError('failed-precondition', `network ${ID} is in use by ${user}`);
}
