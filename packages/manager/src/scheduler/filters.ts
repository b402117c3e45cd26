import { firstMismatch } from './constraint.js';
import { freeUnits, hasEnough } from './generic.js';
import type { NodeInfo, SpecEntry } from './node-info.js';
import { lacksDataPath } from './task-place.js';

/** What a group of equivalent tasks requires of a node: its spec version, and what the allocator added. */
export interface Requirement {
  spec: SpecEntry;
  hostPorts: readonly string[];
  networkDrivers: readonly string[];
  /** It was given addresses on overlay networks, the ingress network among them. */
  overlay: boolean;
}

/** One condition on a node. Filters both decide and explain (swarmkit `manager/scheduler/filter.go`). */
export interface Filter {
  name: string;
  /** Whether the filter has anything to say on tasks with this requirement. */
  applies(need: Requirement): boolean;
  /** Whether the node passes. Only asked when the filter applies. */
  passes(node: NodeInfo, need: Requirement): boolean;
  /** Docker Swarm's words for `nodes` nodes that did not pass. */
  summary(nodes: number): string;
  /** Why this node does not pass. */
  reason(node: NodeInfo, need: Requirement): string;
  /** Whether placing a task of the group can change the answer. */
  changing: boolean;
}

const ready: Filter = {
  name: 'ready',
  changing: false,
  applies: () => true,
  passes: (node) => node.ready,
  summary: (nodes) =>
    nodes === 1 ? '1 node not available for new tasks' : `${nodes} nodes not available for new tasks`,
  reason: ({ node }) => {
    if (node === undefined) return 'node does not exist';
    return node.Status.State === 'ready' ? `availability is ${node.Spec.Availability}` : `node is ${node.Status.State}`;
  },
};

const resources: Filter = {
  name: 'resources',
  changing: true,
  applies: ({ spec: { needs } }) =>
    needs.nanoCpus !== 0 || needs.memoryBytes !== 0 || needs.generic.length > 0 || needs.namedGeneric,
  passes: (node, { spec: { needs } }) =>
    needs.nanoCpus <= node.nanoCpus - node.usedNanoCpus &&
    needs.memoryBytes <= node.memoryBytes - node.usedMemoryBytes &&
    !needs.namedGeneric &&
    (needs.generic.length === 0 || hasEnough(node.offers, node.usedGeneric, needs.generic)),
  summary: (nodes) => (nodes === 1 ? 'insufficient resources on 1 node' : `insufficient resources on ${nodes} nodes`),
  reason: (node, { spec: { needs } }) => {
    const lacks: string[] = [];
    const freeCpus = node.nanoCpus - node.usedNanoCpus;
    const freeBytes = node.memoryBytes - node.usedMemoryBytes;
    if (needs.nanoCpus > freeCpus) lacks.push(`needs ${needs.nanoCpus / 1e9} CPUs, ${freeCpus / 1e9} free`);
    if (needs.memoryBytes > freeBytes) lacks.push(`needs ${needs.memoryBytes} bytes of memory, ${freeBytes} free`);
    if (needs.namedGeneric) lacks.push('reserves a named generic resource, which only the node may choose');
    for (const { kind, count } of needs.generic) {
      const free = freeUnits(node.offers, node.usedGeneric, kind);
      if (free === undefined) lacks.push(`has no ${kind}`);
      else if (count > free) lacks.push(`needs ${count} ${kind}, ${free} free`);
    }
    return lacks.join('; ');
  },
};

const plugins: Filter = {
  name: 'plugins',
  changing: false,
  applies: ({ spec: { needs }, networkDrivers }) =>
    needs.volumeDrivers.length > 0 || networkDrivers.length > 0 || needs.logDriver !== undefined,
  passes: (node, need) => missingPlugin(node, need) === undefined,
  summary: (nodes) => (nodes === 1 ? 'missing plugin on 1 node' : `missing plugin on ${nodes} nodes`),
  reason: (node, need) => `has no plugin ${missingPlugin(node, need)}`,
};

const overlay: Filter = {
  name: 'overlay',
  changing: false,
  applies: (need) => need.overlay,
  passes: ({ node }) => node !== undefined && !lacksDataPath(node),
  summary: (nodes) => (nodes === 1 ? 'no overlay networks on 1 node' : `no overlay networks on ${nodes} nodes`),
  reason: () => 'takes no part in overlay networks',
};

const constraints: Filter = {
  name: 'constraints',
  changing: false,
  applies: ({ spec: { needs } }) => needs.constraints.length > 0 || needs.constraintsError !== undefined,
  passes: ({ node }, { spec: { needs } }) =>
    needs.constraintsError === undefined && node !== undefined && firstMismatch(needs.constraints, node) === undefined,
  summary: (nodes) =>
    nodes === 1
      ? 'scheduling constraints not satisfied on 1 node'
      : `scheduling constraints not satisfied on ${nodes} nodes`,
  reason: ({ node }, { spec: { needs } }) => {
    if (needs.constraintsError !== undefined) return needs.constraintsError;
    const failed = node && firstMismatch(needs.constraints, node);
    return failed ? `${failed.key}${failed.operator}${failed.value} does not hold` : '';
  },
};

const platform: Filter = {
  name: 'platform',
  changing: false,
  applies: ({ spec: { needs } }) => needs.platforms.length > 0,
  passes: ({ node }, { spec: { needs } }) => {
    const actual = node?.Description?.Platform;
    if (actual === undefined) return false;
    return needs.platforms.some(
      (wanted) =>
        (!wanted.Architecture || normalArch(wanted.Architecture) === normalArch(actual.Architecture)) &&
        (!wanted.OS || wanted.OS === actual.OS),
    );
  },
  summary: (nodes) => (nodes === 1 ? 'unsupported platform on 1 node' : `unsupported platform on ${nodes} nodes`),
  reason: ({ node }) => {
    const actual = node?.Description?.Platform;
    return actual === undefined ? 'platform is unknown' : `platform is ${actual.OS}/${actual.Architecture}`;
  },
};

const hostPorts: Filter = {
  name: 'host-ports',
  changing: true,
  applies: (need) => need.hostPorts.length > 0,
  passes: (node, need) => !need.hostPorts.some((port) => node.hostPorts?.has(port)),
  summary: (nodes) =>
    nodes === 1 ? 'host-mode port already in use on 1 node' : `host-mode port already in use on ${nodes} nodes`,
  reason: (node, need) => `${need.hostPorts.filter((port) => node.hostPorts?.has(port)).join(', ')} in use`,
};

const maxReplicas: Filter = {
  name: 'max-replicas',
  changing: true,
  applies: ({ spec: { needs } }) => needs.maxReplicas > 0,
  passes: (node, { spec }) => (spec.load.get(node.slot) ?? 0) < spec.needs.maxReplicas,
  // The words, and that they give no count, are Docker Swarm's.
  summary: () => 'max replicas per node limit exceed',
  reason: (node, { spec }) => `has ${spec.load.get(node.slot) ?? 0} of at most ${spec.needs.maxReplicas} tasks`,
};

/** All filters in the order in which they are asked. */
export const FILTERS: readonly Filter[] = [
  ready,
  resources,
  plugins,
  overlay,
  constraints,
  platform,
  hostPorts,
  maxReplicas,
];

/** The filters that have a say on tasks with this requirement. */
export function filtersFor(need: Requirement): Filter[] {
  return FILTERS.filter((filter) => filter.applies(need));
}

/** The first of `filters` that the node does not pass, or `undefined` when it would do. */
export function firstRefusal(filters: readonly Filter[], node: NodeInfo, need: Requirement): Filter | undefined {
  for (const filter of filters) if (!filter.passes(node, need)) return filter;
  return undefined;
}

/** Docker Swarm's account of refusals: most frequent first, in the filters' order among equals. Empty when there are none. */
export function summarize(refusals: ReadonlyMap<Filter, number>): string {
  return FILTERS.flatMap((filter) => {
    const nodes = refusals.get(filter) ?? 0;
    return nodes > 0 ? [{ filter, nodes }] : [];
  })
    .sort((a, b) => b.nodes - a.nodes)
    .map(({ filter, nodes }) => filter.summary(nodes))
    .join('; ');
}

/** The `Status.Err` of a task that no node would take. */
export function noSuitableNode(refusals: ReadonlyMap<Filter, number>): string {
  const summary = summarize(refusals);
  return summary === '' ? 'no suitable node' : `no suitable node (${summary})`;
}

/** The spellings of an architecture that mean the same. */
function normalArch(arch: string): string {
  if (arch === 'x86_64') return 'amd64';
  return arch === 'aarch64' ? 'arm64' : arch;
}

function missingPlugin({ node }: NodeInfo, { spec: { needs }, networkDrivers }: Requirement): string | undefined {
  const installed = node?.Description?.Engine?.Plugins;
  // A node that does not report plugins cannot be judged by them.
  if (installed === undefined || installed === null) return undefined;
  const has = (type: string, name: string): boolean =>
    installed.some((plugin) => plugin.Type === type && (plugin.Name === name || plugin.Name === `${name}:latest`));
  const volume = needs.volumeDrivers.find((name) => !has('Volume', name));
  if (volume !== undefined) return volume;
  const network = networkDrivers.find((name) => !has('Network', name));
  if (network !== undefined) return network;
  const { logDriver } = needs;
  const reportsLogs = installed.some((plugin) => plugin.Type === 'Log');
  return logDriver !== undefined && reportsLogs && !has('Log', logDriver) ? logDriver : undefined;
}
