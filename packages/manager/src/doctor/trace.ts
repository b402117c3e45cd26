import { isIP } from 'node:net';
import {
  asSwarmdError,
  NETWORK_INQUIRIES,
  NetworkAuditSchema,
  type Probe,
  type ProbeResult,
  type ReadView,
  type ServiceEndpoints,
  type ServiceEndpointTask,
  type Store,
  SwarmdError,
  type TraceOptions,
  type TraceReport,
  taskName,
} from '@swarmd/model';
import type { AskNode } from '../dispatcher/ask-node.js';
import { askProbe } from './probing.js';
import { serviceEndpoints } from './service-endpoints.js';
import { type End, findDestination, findSource } from './trace-ends.js';
import { type TraceFacts, type Tried, traceHops, type Way } from './trace-hops.js';

/** Tasks of a service to which the way is tried. */
const MAX_WAYS = 8;

/** What a trace needs. */
export interface TraceDependencies {
  store: Pick<Store, 'view'>;
  ask: AskNode;
}

/**
 * Follows the way from a task or container to a service, task, container or address, hop by hop. `not-found` when an end is
 * not known; `invalid-argument` for a port that is none.
 */
export async function trace(
  { store, ask }: TraceDependencies,
  options: TraceOptions,
  signal: AbortSignal,
): Promise<TraceReport> {
  const { from, to, port } = options;
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new SwarmdError('invalid-argument', `invalid port ${port}: it must be 1 to 65535`, { field: 'port' });
  const { view } = store;
  const source = findSource(view, from);
  const destination = findDestination(view, to, source);
  const endpoints = destination.service && serviceEndpoints(view, destination.service);
  const tracing: Tracing = { view, ask, signal, source, destination, endpoints, to, port };
  const facts = await gather(tracing);
  const Hops = traceHops(facts);
  return {
    Source: source.shown,
    Destination: destination.shown,
    Hops,
    Backends: endpoints?.Tasks ?? [],
    Ok: Hops.every(({ Result }) => Result !== 'broken'),
  };
}

interface Tracing {
  view: ReadView;
  ask: AskNode;
  signal: AbortSignal;
  source: End;
  destination: End;
  endpoints: ServiceEndpoints | undefined;
  /** As it was given. */
  to: string;
  port: number;
}

async function gather(tracing: Tracing): Promise<TraceFacts> {
  const { view, source, destination, endpoints, port } = tracing;
  const shared = sharedNetwork(tracing);
  const facts = {
    source: source.shown,
    sourceProblem: problemOf(view, source),
    sourceAddr: dataPathOf(view, source.shown.NodeID),
    destination: destination.shown,
    ...{ ways: [], port },
    ...(endpoints === undefined ? {} : { endpoints }),
  };
  if (shared === undefined || facts.sourceProblem !== '') return facts;
  const { networkId, name, own } = shared;
  const probe = (asked: Probe, nodeId = source.shown.NodeID): Promise<Tried<ProbeResult>> =>
    tryProbe(tracing, nodeId, asked);
  const virtualIp = onNetwork(endpoints?.VirtualIPs ?? [], networkId);
  const [names, ways, viaVip, problems] = await Promise.all([
    isIP(tracing.to) === 0 ? probe({ do: 'resolve', networkId, from: own, name: nameToAsk(tracing) }) : undefined,
    Promise.all(targets(tracing, networkId).map((target) => followWay(tracing, networkId, own, target))),
    virtualIp === undefined || port === 0
      ? undefined
      : probe({ do: 'reach', networkId, from: own, to: virtualIp, port }),
    (endpoints?.Ports ?? []).length > 0 ? problemsOf(tracing) : undefined,
  ]);
  const expected = expectedAnswer(tracing, networkId, virtualIp);
  return {
    ...facts,
    shared: { name },
    ways,
    ...(names === undefined
      ? {}
      : { name: { name: nameToAsk(tracing), expected, answers: mapTried(names, (found) => found.names ?? []) } }),
    ...(viaVip === undefined ? {} : { virtualIp: { address: virtualIp!, reach: viaVip } }),
    ...(problems === undefined ? {} : { problems }),
  };
}

interface Target {
  name: string;
  address: string;
  nodeId: string;
}

/** The addresses to which the way is tried. */
function targets({ destination, endpoints }: Tracing, networkId: string): Target[] {
  if (endpoints === undefined) {
    const address = onNetwork(destination.shown.Addresses, networkId) ?? destination.shown.Addresses[0]?.Address;
    return address === undefined ? [] : [{ name: destination.shown.Name, address, nodeId: destination.shown.NodeID }];
  }
  return serving(endpoints, networkId)
    .slice(0, MAX_WAYS)
    .map(({ Name, NodeID, Addresses }) => ({ name: Name, nodeId: NodeID, address: onNetwork(Addresses, networkId)! }));
}

function serving({ Tasks }: ServiceEndpoints, networkId: string): ServiceEndpointTask[] {
  return Tasks.filter(({ Endpoint, Addresses }) => Endpoint === 'in' && onNetwork(Addresses, networkId) !== undefined);
}

async function followWay(
  tracing: Tracing,
  networkId: string,
  own: string,
  { name, address, nodeId }: Target,
): Promise<Way> {
  const { view, source, port } = tracing;
  const sameNode = nodeId === source.shown.NodeID;
  const reach = { do: 'reach', networkId, from: own, to: address, port } as const;
  const [reached, reply] = await Promise.all([
    tryProbe(tracing, source.shown.NodeID, reach),
    sameNode || nodeId === '' ? undefined : tryProbe(tracing, nodeId, { do: 'forwarding', networkId, to: own }),
  ]);
  return {
    ...{ name, address, sameNode, reach: reached },
    hostname: view.get('node', nodeId)?.Description?.Hostname ?? '',
    nodeAddr: dataPathOf(view, nodeId),
    ...(reply === undefined ? {} : { reply: mapTried(reply, (found) => found.forwarding!) }),
  };
}

/** The first network that both ends are on, and the source's address there; an unknown address is tried on that of the source. */
function sharedNetwork({ view, source, destination, endpoints }: Tracing) {
  const theirs = new Set([
    ...destination.shown.Addresses.map(({ NetworkID }) => NetworkID),
    ...(endpoints?.Tasks ?? []).flatMap(({ Addresses }) => Addresses.map(({ NetworkID }) => NetworkID)),
  ]);
  const ipv4 = source.shown.Addresses.filter(({ Address }) => isIP(Address) === 4);
  const mine = ipv4.filter(({ NetworkID }) => !view.get('network', NetworkID)?.Spec.Ingress);
  const found = destination.shown.Kind === 'address' ? mine[0] : mine.find(({ NetworkID }) => theirs.has(NetworkID));
  return found && { networkId: found.NetworkID, name: found.Network, own: found.Address };
}

/** The name that the other end is found by: a service's or a container's as it was given, a task's is its container's. */
function nameToAsk({ destination, to }: Tracing): string {
  if (destination.task !== undefined) return taskName(destination.task);
  return destination.service !== undefined && to === destination.service.ID ? destination.shown.Name : to;
}

function expectedAnswer(tracing: Tracing, networkId: string, virtualIp: string | undefined): string[] {
  const { endpoints, destination, to } = tracing;
  if (endpoints === undefined)
    return destination.shown.Addresses.filter((one) => one.NetworkID === networkId)
      .map(({ Address }) => Address)
      .filter((address) => isIP(address) === 4);
  if (virtualIp !== undefined && !to.startsWith('tasks.')) return [virtualIp];
  return serving(endpoints, networkId).map(({ Addresses }) => onNetwork(Addresses, networkId)!);
}

async function problemsOf({ ask, source, signal }: Tracing): Promise<Tried<readonly string[]>> {
  try {
    const answer = await ask(source.shown.NodeID, NETWORK_INQUIRIES.audit, { repair: false }, { signal });
    const { findings } = NetworkAuditSchema.parse(answer);
    return { found: findings.filter(({ Code }) => Code === 'problem').map(({ What }) => What) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { failed: asSwarmdError(thrown).message };
  }
}

async function tryProbe({ ask, signal }: Tracing, nodeId: string, probe: Probe): Promise<Tried<ProbeResult>> {
  try {
    return { found: await askProbe(ask, nodeId, probe, signal) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { failed: asSwarmdError(thrown).message };
  }
}

function mapTried<A, B>(tried: Tried<A>, map: (found: A) => B): Tried<B> {
  return 'found' in tried ? { found: map(tried.found) } : tried;
}

function problemOf(view: ReadView, { task, shown }: End): string {
  const node = view.get('node', shown.NodeID);
  if (task !== undefined && task.NodeID === '') return 'it has no node yet';
  if (node === undefined) return 'its node is not in the cluster';
  if (node.Status.State === 'down') return `its node ${shown.Hostname} is down`;
  if (task !== undefined && task.Status.State !== 'running') return `it does not run (${task.Status.State})`;
  return shown.Addresses.length === 0 ? 'it is on no overlay network' : '';
}

function dataPathOf(view: ReadView, nodeId: string): string {
  return view.get('node', nodeId)?.DataPath?.Addr ?? '';
}

function onNetwork(
  addresses: readonly { NetworkID: string; Address: string }[],
  networkId: string,
): string | undefined {
  return addresses.find((one) => one.NetworkID === networkId && isIP(one.Address) === 4)?.Address;
}
