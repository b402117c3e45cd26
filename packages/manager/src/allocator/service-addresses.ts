import {
  compareStates,
  type NetworkAttachment,
  type ReadView,
  type Service,
  type ServiceSpec,
  specKey,
  type Task,
} from '@swarmd/model';
import type { Giving } from './giving.js';
import { contains, parseCidr, parseIp } from './ip.js';
import { isOverlay } from './network-allocation.js';
import { isIngress } from './ports.js';

/** Why a service's tasks wait: on a network (empty: on there being an ingress network), until a while has passed at most. */
export interface Shortage {
  error: string;
  networkId: string;
  waitMs: number | undefined;
}

type VirtualIps = NonNullable<NonNullable<Service['Endpoint']>['VirtualIPs']>;

/** Networks in which a task has no interface of its own: it uses its host's, or none. */
const WITHOUT_INTERFACE: readonly string[] = ['host', 'none', 'null'];

/** A network that a spec wants its tasks on. */
interface Wanted {
  id: string;
  aliases: readonly string[];
  /** Addresses are ours to give. */
  overlay: boolean;
}

/**
 * The networks of a spec's tasks, the ingress network first when ports are published there. A shortage when that has to
 * be made first.
 */
function wantedNetworks(view: ReadView, spec: ServiceSpec, ingress: IngressState): Wanted[] | Shortage {
  const wanted: Wanted[] = [];
  for (const { Target = '', Aliases } of spec.TaskTemplate?.Networks ?? spec.Networks ?? []) {
    const network = view.get('network', Target);
    if (network !== undefined && WITHOUT_INTERFACE.includes(network.Spec.Driver ?? '')) return [];
    const overlay = network === undefined || isOverlay(network);
    if (!wanted.some(({ id }) => id === Target)) wanted.push({ id: Target, aliases: Aliases ?? [], overlay });
  }
  if (!publishesIngress(spec) || ingress === 'unknown') return wanted;
  if (ingress === 'none') {
    const error =
      'published ports need the ingress network, which was removed: create one with "network create --ingress"';
    return { error, networkId: '', waitMs: undefined };
  }
  return [{ id: ingress.id, aliases: [], overlay: true }, ...wanted];
}

/** Whether there is an ingress network; unknown where no cluster is that could have one. */
export type IngressState = { id: string } | 'none' | 'unknown';

/** Whether a spec publishes ports on every node. */
export function publishesIngress(spec: ServiceSpec): boolean {
  return (spec.EndpointSpec?.Ports ?? []).some(isIngress);
}

/**
 * A service's virtual IPs, one for each of its networks, and one of IPv6 after it where the network has such subnets:
 * those that it has are kept, others are given. What cannot be had is missing, with the reason.
 */
export function virtualIpsFor(
  view: ReadView,
  service: Service,
  ingress: IngressState,
  giving: Giving,
): { virtualIps: VirtualIps; shortage?: Shortage } {
  if (service.Spec.EndpointSpec?.Mode === 'dnsrr') return { virtualIps: [] };
  const wanted = wantedNetworks(view, service.Spec, ingress);
  if ('error' in wanted) return { virtualIps: [], shortage: wanted };
  const virtualIps: VirtualIps = [];
  let shortage: Shortage | undefined;
  for (const { id, overlay } of wanted) {
    if (!overlay) continue;
    for (const family of [4, 6] as const) {
      const had = service.Endpoint?.VirtualIPs?.find(
        ({ NetworkID, Addr }) => NetworkID === id && isOf(view, id, Addr, family),
      );
      if (had !== undefined) {
        virtualIps.push(had);
        continue;
      }
      const given = giving.take(id, [family]);
      if ('error' in given) shortage ??= { error: given.error, networkId: id, waitMs: given.waitMs };
      else virtualIps.push(...given.addresses.map((Addr) => ({ NetworkID: id, Addr })));
    }
  }
  return { virtualIps, ...(shortage === undefined ? {} : { shortage }) };
}

/** A new task's places on its networks; `undefined` where its node decides, as on networks that every engine has. */
export function attachmentsFor(
  view: ReadView,
  task: Task,
  service: Service,
  ingress: IngressState,
  giving: Giving,
): NetworkAttachment[] | undefined | Shortage {
  // It will never run.
  if (compareStates(task.DesiredState, 'complete') > 0) return undefined;
  const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec ?? service.Spec;
  const wanted = wantedNetworks(view, spec, ingress);
  if ('error' in wanted) return wanted;
  if (!wanted.some(({ overlay }) => overlay)) return undefined;
  const mark = giving.mark();
  const attachments: NetworkAttachment[] = [];
  for (const { id, aliases, overlay } of wanted) {
    const given = overlay ? giving.take(id) : { addresses: [] };
    if ('error' in given) {
      giving.returnTo(mark);
      return { error: given.error, networkId: id, waitMs: given.waitMs };
    }
    attachments.push({
      Network: { ID: id },
      Addresses: given.addresses,
      ...(aliases.length > 0 ? { Aliases: [...aliases] } : {}),
    });
  }
  return attachments;
}

function isOf(view: ReadView, networkId: string, addr: string, family: 4 | 6): boolean {
  const ip = parseIp(addr.replace(/\/.*/, ''));
  const subnets = view.get('network', networkId)?.Allocation?.Subnets ?? [];
  return subnets.some(({ Subnet }) => {
    const cidr = parseCidr(Subnet);
    return ip?.family === family && cidr !== undefined && contains(cidr, ip);
  });
}
