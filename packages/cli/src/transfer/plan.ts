import { isDeepStrictEqual } from 'node:util';
import type { ClusterSpec, ConfigSpec, NetworkSpec, SecretSpec } from '@swarmd/model';
import { CommandError } from '../program/errors.js';
import { clusterLimits, networkLimits, secretLimits } from './limits.js';
import { type ClusterObjects, handleKey, KINDS, type Kind, type PortableNode, type Snapshot } from './objects.js';
import { named, type PlanItem, type PlanOptions, planObject } from './plan-item.js';
import { planServices } from './plan-services.js';

/**
 * What it takes to make the target what the source is, in an order in which it can be done. Pure; planning again after
 * the plan was carried out says `same` of all that it created and updated. Throws CommandError for names of nodes that
 * do not exist.
 */
export function planTransfer(source: Snapshot, target: Snapshot, options: PlanOptions): PlanItem[] {
  checkNodeNames(source.objects, target.objects, options.nodeNames);
  const planned = new Map<Kind, PlanItem[]>();
  planned.set('cluster', [planCluster(source.objects.cluster, target.objects.cluster, options)]);
  planned.set('node', planNodes(source.objects, target.objects, options));
  planned.set('network', planNetworks(source, target));
  planned.set('secret', planSecrets(source.objects, target.objects, options));
  planned.set('config', planConfigs(source.objects, target.objects));
  const skipped = (kind: Kind): boolean => options.skip.has(kind);
  const data = (['network', 'secret', 'config'] as const).filter((kind) => !skipped(kind));
  planned.set(
    'service',
    planServices(
      source,
      target,
      options,
      data.flatMap((kind) => planned.get(kind)!),
    ),
  );
  const kept = KINDS.filter((kind) => !skipped(kind));
  const removals = options.prune ? planRemovals(source.objects, target.objects, kept) : [];
  return [...kept.flatMap((kind) => planned.get(kind)!), ...removals];
}

function checkNodeNames(source: ClusterObjects, target: ClusterObjects, nodeNames: ReadonlyMap<string, string>): void {
  const has = ({ nodes }: ClusterObjects, name: string): boolean => nodes.some(({ Hostname }) => Hostname === name);
  const taken = new Set<string>();
  for (const [old, fresh] of nodeNames) {
    if (!has(source, old)) throw new CommandError(`--map-node ${old}=${fresh}: the source has no node ${old}`);
    if (!has(target, fresh)) throw new CommandError(`--map-node ${old}=${fresh}: there is no node ${fresh} here`);
    if (taken.has(fresh)) throw new CommandError(`--map-node: two nodes cannot both become ${fresh}`);
    taken.add(fresh);
  }
}

/** The parts of a cluster's spec that mean the same in every cluster. */
function carriedSettings(spec: ClusterSpec): ClusterSpec {
  const { Labels, Orchestration, Dispatcher, CAConfig, TaskDefaults } = spec;
  const limit = Orchestration?.TaskHistoryRetentionLimit;
  const driver = TaskDefaults?.LogDriver;
  return {
    Labels: Labels ?? {},
    ...(limit == null ? {} : { Orchestration: { TaskHistoryRetentionLimit: limit } }),
    ...(Dispatcher?.HeartbeatPeriod ? { Dispatcher: { HeartbeatPeriod: Dispatcher.HeartbeatPeriod } } : {}),
    ...(CAConfig?.NodeCertExpiry ? { CAConfig: { NodeCertExpiry: CAConfig.NodeCertExpiry } } : {}),
    ...(driver?.Name ? { TaskDefaults: { LogDriver: driver } } : {}),
  };
}

function planCluster(source: ClusterSpec, target: ClusterSpec, { prune }: PlanOptions): PlanItem {
  const present = carriedSettings(target);
  // What the source does not say stays as it is here.
  const desired = { ...present, ...carriedSettings(source), Labels: mergeLabels(present.Labels, source.Labels, prune) };
  return planObject({ kind: 'cluster', name: 'settings', notes: clusterLimits(source).notes }, present, desired);
}

type Labels = Readonly<Record<string, string>> | null | undefined;

/** Labels that people gave to what is here stay, unless the source is to be all there is. */
function mergeLabels(present: Labels, wanted: Labels, prune: boolean): Record<string, string> {
  return prune ? { ...wanted } : { ...present, ...wanted };
}

function planNodes(source: ClusterObjects, target: ClusterObjects, options: PlanOptions): PlanItem[] {
  const taken = new Set(options.nodeNames.values());
  return source.nodes.map((node) => {
    const mapped = options.nodeNames.get(node.Hostname);
    const name = mapped ?? node.Hostname;
    // A node that stands for another one is not also its namesake.
    const found = mapped === undefined && taken.has(name) ? undefined : targetNode(target, name);
    if (found === undefined) return missingNode(node);
    const Labels = mergeLabels(found.Labels, node.Labels, options.prune);
    const promote = node.Role === 'manager' && found.Role === 'worker';
    const notes = promote ? [`a manager there and a worker here: roles stay (swarmctl node promote ${name})`] : [];
    return planObject({ kind: 'node', name, notes }, settingsOf(found), { Availability: node.Availability, Labels });
  });
}

function targetNode({ nodes }: ClusterObjects, name: string): PortableNode | undefined {
  return nodes.find(({ Hostname }) => Hostname === name);
}

const settingsOf = ({ Availability, Labels }: PortableNode): object => ({ Availability, Labels });

function missingNode(node: PortableNode): PlanItem {
  const item = { kind: 'node', name: node.Hostname, changes: [], notes: [] } as const;
  if (node.Availability === 'active' && Object.keys(node.Labels).length === 0) return { ...item, verdict: 'absent' };
  return {
    ...item,
    verdict: 'cannot',
    reason: `no node of that name has joined here, and it has labels or an availability to carry over: have it join, or name the one that takes its place (--map-node ${node.Hostname}=NAME)`,
  };
}

const CANNOT_CHANGE = 'cannot be changed once it exists; remove it here to have it made anew';

function planNetworks(source: Snapshot, target: Snapshot): PlanItem[] {
  return source.objects.networks.map((spec) => {
    const remarks = source.remarks.get(handleKey('network', spec.Name)) ?? [];
    const { refusal, notes } = networkLimits(spec);
    const item = { kind: 'network', name: spec.Name, notes: [...notes, ...remarks] } as const;
    const planned = planObject(item, named(target.objects.networks, 'network', spec.Name, nameOf), spec);
    if (planned.verdict === 'same') return { ...planned, notes: [] };
    if (refusal !== undefined) return { ...item, verdict: 'cannot', changes: [], reason: refusal };
    if (planned.verdict !== 'update') return planned;
    return { ...item, verdict: 'cannot', changes: planned.changes, reason: `differs, and a network ${CANNOT_CHANGE}` };
  });
}

const nameOf = ({ Name }: NetworkSpec | SecretSpec | ConfigSpec): string => Name;

function planSecrets(source: ClusterObjects, target: ClusterObjects, { secretValues }: PlanOptions): PlanItem[] {
  return source.secrets.map((spec) => {
    const item = { kind: 'secret', name: spec.Name, notes: [] } as const;
    const { refusal } = secretLimits(spec);
    if (refusal !== undefined) return { ...item, verdict: 'cannot', changes: [], reason: refusal };
    const present = named(target.secrets, 'secret', spec.Name, nameOf);
    if (present !== undefined) return planData(item, present, spec);
    const Data = secretValues.get(spec.Name);
    if (Data === undefined || Data === '') {
      const what = Data === undefined ? 'its value is not given' : 'the value given is empty';
      const reason = `${what}: a swarm does not hand out secrets (--secret ${spec.Name}=FILE, or a file of that name in --secrets-dir)`;
      return { ...item, verdict: 'cannot', changes: [], reason };
    }
    return planObject(item, undefined, { ...spec, Data });
  });
}

function planConfigs(source: ClusterObjects, target: ClusterObjects): PlanItem[] {
  return source.configs.map((spec) => {
    const item = { kind: 'config', name: spec.Name, notes: [] } as const;
    return planData(item, named(target.configs, 'config', spec.Name, nameOf), spec);
  });
}

/** Of a secret or config that exists only labels can change. */
function planData(
  item: Pick<PlanItem, 'kind' | 'name' | 'notes'>,
  present: SecretSpec | ConfigSpec | undefined,
  spec: SecretSpec | ConfigSpec,
): PlanItem {
  const planned = planObject(item, present, spec);
  const { Labels: _1, ...content } = spec;
  const { Labels: _2, ...presentContent } = present ?? {};
  if (planned.verdict !== 'update' || isDeepStrictEqual(content, presentContent)) return planned;
  const { kind, name, notes, changes } = planned;
  return { kind, name, notes, changes, verdict: 'cannot', reason: `differs, and a ${kind} ${CANNOT_CHANGE}` };
}

/** What only the target has, users of things before the things. Nodes are never removed. */
function planRemovals(source: ClusterObjects, target: ClusterObjects, kinds: readonly Kind[]): PlanItem[] {
  const lists = { service: 'services', secret: 'secrets', config: 'configs', network: 'networks' } as const;
  return (['service', 'secret', 'config', 'network'] as const)
    .filter((kind) => kinds.includes(kind))
    .flatMap((kind) => {
      const kept = new Set(source[lists[kind]].map(({ Name = '' }) => handleKey(kind, Name)));
      const gone = target[lists[kind]].filter(({ Name = '' }) => !kept.has(handleKey(kind, Name)));
      return gone.map(({ Name = '' }): PlanItem => ({ kind, name: Name, verdict: 'remove', changes: [], notes: [] }));
    });
}
