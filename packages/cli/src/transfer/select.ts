import { STACK_LABEL } from '../client/resources.js';
import { CommandError } from '../program/errors.js';
import type { ClusterObjects } from './objects.js';
import { referencesOf } from './references.js';

/** Stacks and services by name; none of both means all there is. */
export interface Selection {
  readonly stacks: readonly string[];
  readonly services: readonly string[];
}

/**
 * The objects without services that were not selected, and without networks, secrets and configs that belong to none of
 * the stacks and that no selected service uses. Nodes and the cluster's settings stay. Throws CommandError for a stack
 * or service that does not exist.
 */
export function selectObjects(objects: ClusterObjects, { stacks, services }: Selection): ClusterObjects {
  if (stacks.length + services.length === 0) return objects;
  const stackOf = ({ Labels }: { Labels?: Record<string, string> | null | undefined }): string =>
    Labels?.[STACK_LABEL] ?? '';
  const selected = objects.services.filter(
    (spec) => stacks.includes(stackOf(spec)) || services.includes(spec.Name ?? ''),
  );
  for (const stack of stacks) {
    if (!selected.some((spec) => stackOf(spec) === stack)) throw new CommandError(`the source has no stack ${stack}`);
  }
  for (const service of services) {
    if (!selected.some(({ Name }) => Name === service)) throw new CommandError(`the source has no service ${service}`);
  }
  const used = selected.map(referencesOf);
  const keeps = (kind: 'network' | 'secret' | 'config') => {
    const names = new Set(used.flatMap((references) => references[kind]));
    return (spec: { Name: string; Labels?: Record<string, string> | null | undefined }): boolean =>
      names.has(spec.Name) || stacks.includes(stackOf(spec));
  };
  return {
    ...objects,
    networks: objects.networks.filter(keeps('network')),
    secrets: objects.secrets.filter(keeps('secret')),
    configs: objects.configs.filter(keeps('config')),
    services: selected,
  };
}
