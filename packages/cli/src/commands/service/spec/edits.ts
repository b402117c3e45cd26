import type { ServiceSpec } from '@swarmd/model';
import type { Flags } from '../../../program/command.js';
import { bool, text } from '../../../program/flag-types.js';
import { ATTACHMENT_EDITS } from './attachment-edits.js';
import { ENVIRONMENT_EDITS, PROCESS_EDITS } from './container-edits.js';
import {
  changePairs,
  collection,
  type EditInputs,
  type GivenFlags,
  type SpecDraft,
  type SpecEdit,
  setting,
} from './draft.js';
import { HEALTH_EDITS } from './health-edits.js';
import { PLACEMENT_EDITS } from './placement-edits.js';
import { ROLLOUT_EDITS } from './rollout-edits.js';

/** Every flag of `service create` and `service update` that says something about the spec, in the order of application. */
export const SPEC_EDITS: readonly SpecEdit[] = [
  setting(
    'name',
    text('Service name'),
    (draft, name) => {
      draft.Name = name;
    },
    'create',
  ),
  collection({
    name: 'label',
    short: 'l',
    usage: ['Service labels', 'Add or update a service label', 'Remove a label by its key'],
    edit: (draft, change) => {
      draft.Labels = changePairs(draft.Labels, change);
    },
  }),
  ...PROCESS_EDITS,
  ...ENVIRONMENT_EDITS,
  ...HEALTH_EDITS,
  ...PLACEMENT_EDITS,
  ...ROLLOUT_EDITS,
  ...ATTACHMENT_EDITS,
  setting(
    'force',
    bool('Force update even if no changes require it'),
    (draft, force) => {
      if (force) draft.TaskTemplate.ForceUpdate = (draft.TaskTemplate.ForceUpdate ?? 0) + 1;
    },
    'update',
  ),
];

/** All flags of `SPEC_EDITS` that a command has. */
export function specFlags(command: 'create' | 'update'): Flags {
  return Object.assign({}, ...SPEC_EDITS.map((edit) => edit[command])) as Flags;
}

/** The spec that `service create IMAGE [ARG…]` starts from, in the docker CLI's shape. */
export function initialSpec(image: string, args: readonly string[]): ServiceSpec {
  return {
    Name: '',
    Labels: {},
    TaskTemplate: {
      ContainerSpec: { Image: image, ...(args.length > 0 ? { Args: [...args] } : {}), Init: false, DNSConfig: {} },
      Resources: { Limits: {}, Reservations: {} },
      Placement: {},
      ForceUpdate: 0,
    },
    Mode: { Replicated: {} },
    EndpointSpec: { Mode: 'vip' },
  };
}

/** The spec after the flags that were given; `spec` itself stays as it is. Throws CommandError for contradictions. */
export function editSpec(spec: ServiceSpec, given: GivenFlags, inputs: EditInputs): ServiceSpec {
  const copy = structuredClone(spec);
  const TaskTemplate = copy.TaskTemplate ?? {};
  const draft: SpecDraft = {
    ...copy,
    TaskTemplate: { ...TaskTemplate, ContainerSpec: TaskTemplate.ContainerSpec ?? {} },
  };
  for (const edit of SPEC_EDITS) edit.apply(draft, given, inputs);
  return draft;
}
