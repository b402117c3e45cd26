import { isJob, modeName, type ServiceSpec } from '@swarmd/model';
import { PREDEFINED_NETWORKS, serviceLimits } from './limits.js';
import { type ClusterObjects, handleKey, type Kind, type Snapshot } from './objects.js';
import { named, type PlanItem, type PlanOptions, planObject } from './plan-item.js';
import { referencesOf, withNodeConstraints } from './references.js';

/** Services against what they need: `others` is what is planned for networks, secrets and configs. */
export function planServices(
  source: Snapshot,
  target: Snapshot,
  options: Pick<PlanOptions, 'nodeNames'>,
  others: readonly PlanItem[],
): PlanItem[] {
  const planned = new Map(others.map((item) => [handleKey(item.kind, item.name), item]));
  const missing = (kind: Kind, name: string): string | undefined => {
    const key = handleKey(kind, name);
    if (target.handles.has(key) || planned.get(key)?.verdict === 'create') return undefined;
    return `${kind} ${name}`;
  };
  return source.objects.services.map((spec) => {
    const name = spec.Name ?? '';
    const { spec: desired, notes: nodeNotes } = withTargetNodes(
      spec,
      source.objects,
      target.objects,
      options.nodeNames,
    );
    const { refusal, notes } = serviceLimits(spec);
    const remarks = source.remarks.get(handleKey('service', name)) ?? [];
    const present = named(target.objects.services, 'service', name, (service) => service.Name ?? '');
    const jobNotes = isJob(spec) ? ['a job: making or changing it runs it here, whether or not it ran there'] : [];
    const item = { kind: 'service', name, notes: [...notes, ...nodeNotes, ...jobNotes, ...remarks] } as const;
    const cannot = (reason: string): PlanItem => ({ ...item, verdict: 'cannot', changes: [], reason });
    if (refusal !== undefined) return cannot(refusal);
    const result = planObject(item, present, present === undefined ? desired : withForceUpdateOf(desired, present));
    if (result.verdict === 'same') return { ...result, notes: [] };
    const needs = missingReferences(desired, missing);
    if (needs.length > 0) return { ...cannot(`held back: it needs ${needs.join(', ')}`), changes: result.changes };
    // What is here may name the right node already: an ID of another cluster must not take its place.
    if (present !== undefined && nodeNotes.length > 0) return { ...cannot(nodeNotes[0]!), changes: result.changes };
    if (present !== undefined && modeName(present) !== modeName(desired)) {
      const reason = `its mode is ${modeName(present)} here, and a mode cannot be changed; remove it here to have it made anew`;
      return { ...cannot(reason), changes: result.changes };
    }
    return result;
  });
}

/** How often tasks were replaced by force is each cluster's own count: another one's would replace them once more. */
function withForceUpdateOf(spec: ServiceSpec, present: ServiceSpec): ServiceSpec {
  const ForceUpdate = present.TaskTemplate?.ForceUpdate ?? 0;
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate } };
}

function missingReferences(spec: ServiceSpec, missing: (kind: Kind, name: string) => string | undefined): string[] {
  const references = referencesOf(spec);
  return (['network', 'secret', 'config'] as const).flatMap((kind) =>
    references[kind].flatMap((name) => {
      if (kind === 'network' && PREDEFINED_NETWORKS.has(name)) return [];
      return missing(kind, name) ?? [];
    }),
  );
}

/** The spec with constraints on single nodes turned to the nodes that take their place; notes on those that have none. */
function withTargetNodes(
  spec: ServiceSpec,
  source: ClusterObjects,
  target: ClusterObjects,
  nodeNames: ReadonlyMap<string, string>,
): { spec: ServiceSpec; notes: string[] } {
  const notes: string[] = [];
  const changed = withNodeConstraints(spec, (attribute, value) => {
    if (attribute === 'hostname') return nodeNames.get(value);
    const old = source.nodes.find(({ ID }) => ID === value)?.Hostname;
    const name = old === undefined ? undefined : (nodeNames.get(old) ?? old);
    const found = target.nodes.find(({ Hostname }) => Hostname === name);
    if (found !== undefined) return found.ID;
    const who = old === undefined ? 'a node that is gone there, too' : `${old}, which has not joined here`;
    notes.push(`its constraint on node.id means ${who}: import again once it has (--map-node OLD=NEW for another one)`);
    return undefined;
  });
  return { spec: changed, notes };
}
