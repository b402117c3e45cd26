import type { GenericResource, Placement } from '@swarmd/model';
import { CommandError } from '../../../program/errors.js';
import { bytes, cpus, custom, type Flag, int, list, text, uint } from '../../../program/flag-types.js';
import { changePairs, changeSet, collection, type SpecDraft, type SpecEdit, setting, settings } from './draft.js';

type Preference = NonNullable<Placement['Preferences']>[number];

function parsePreference(value: string): Preference {
  const [strategy, argument, ...rest] = value.split('=');
  if (argument === undefined || rest.length > 0) {
    throw new Error('placement preference must be of the format "<strategy>=<arg>"');
  }
  if (strategy !== 'spread') throw new Error(`unsupported placement preference ${strategy} (only spread is supported)`);
  return { Spread: { SpreadDescriptor: argument } };
}

const preferences = (usage: string): Flag<Preference[]> =>
  custom<Preference[]>('pref', usage, [], (value, current) => [...current, parsePreference(value)]);

function parseResource(value: string): GenericResource {
  const match = /^([^=]+)=(.+)$/.exec(value);
  if (match === null) throw new Error(`incorrect term ${value}, missing '=' or malformed expression`);
  if (!/^\d+$/.test(match[2]!)) {
    throw new Error(
      `invalid generic-resource request \`${value}\`, Named Generic Resources is not supported for service create or update`,
    );
  }
  return { DiscreteResourceSpec: { Kind: match[1]!, Value: Number(match[2]) } };
}

function limits(draft: SpecDraft, part: 'Limits' | 'Reservations', change: Record<string, unknown>): void {
  const resources = draft.TaskTemplate.Resources ?? {};
  draft.TaskTemplate.Resources = { ...resources, [part]: { ...resources[part], ...change } };
}

const MODES = ['replicated', 'global', 'replicated-job', 'global-job'] as const;

/** Edits of how many tasks there are, where they may run and what they may use. */
export const PLACEMENT_EDITS: readonly SpecEdit[] = [
  settings(
    {
      mode: text('Service mode ("replicated", "global", "replicated-job", "global-job")', {
        defaultText: '"replicated"',
        words: MODES,
      }),
    },
    (draft, { mode }) => {
      draft.Mode = initialMode(mode ?? 'replicated');
    },
    'create',
  ),
  settings(
    {
      replicas: uint('Number of tasks'),
      'max-concurrent': uint('Number of job tasks to run concurrently (default equal to --replicas)'),
    },
    (draft, values) => applyReplicas(draft, values.replicas, values['max-concurrent']),
  ),
  collection({
    name: 'constraint',
    usage: ['Placement constraints', 'Add or update a placement constraint', 'Remove a constraint'],
    edit: (draft, change) => {
      const placement = draft.TaskTemplate.Placement ?? {};
      draft.TaskTemplate.Placement = { ...placement, Constraints: changeSet(placement.Constraints, change) };
    },
  }),
  {
    create: { 'placement-pref': preferences('Add a placement preference') as Flag<unknown> },
    update: {
      'placement-pref-add': preferences('Add a placement preference') as Flag<unknown>,
      'placement-pref-rm': preferences('Remove a placement preference') as Flag<unknown>,
    },
    apply(draft, { flags, given }) {
      const names = ['placement-pref', 'placement-pref-add', 'placement-pref-rm'];
      if (!names.some((name) => given.has(name))) return;
      const [created, added, removed] = names.map((name) => (flags[name] ?? []) as Preference[]);
      const gone = new Set(removed!.map(({ Spread }) => Spread?.SpreadDescriptor));
      const placement = draft.TaskTemplate.Placement ?? {};
      const kept = (placement.Preferences ?? []).filter(({ Spread }) => !gone.has(Spread?.SpreadDescriptor));
      draft.TaskTemplate.Placement = { ...placement, Preferences: [...kept, ...created!, ...added!] };
    },
  },
  setting('replicas-max-per-node', uint('Maximum number of tasks per node (default 0 = unlimited)'), (draft, most) => {
    draft.TaskTemplate.Placement = { ...draft.TaskTemplate.Placement, MaxReplicas: most };
  }),
  setting('limit-cpu', cpus('Limit CPUs'), (draft, NanoCPUs) => limits(draft, 'Limits', { NanoCPUs })),
  setting('limit-memory', bytes('Limit Memory'), (draft, MemoryBytes) => limits(draft, 'Limits', { MemoryBytes })),
  setting('limit-pids', int('Limit maximum number of processes (default 0 = unlimited)'), (draft, Pids) =>
    limits(draft, 'Limits', { Pids }),
  ),
  setting('reserve-cpu', cpus('Reserve CPUs'), (draft, NanoCPUs) => limits(draft, 'Reservations', { NanoCPUs })),
  setting('reserve-memory', bytes('Reserve Memory'), (draft, MemoryBytes) =>
    limits(draft, 'Reservations', { MemoryBytes }),
  ),
  collection<GenericResource>({
    name: 'generic-resource',
    usage: ['User defined resources', 'Add a Generic resource', 'Remove a Generic resource'],
    flag: (usage) =>
      custom<GenericResource[]>('list', usage, [], (value, current) => [...current, parseResource(value)]),
    edit: (draft, { added, removed }) => {
      const kind = ({ DiscreteResourceSpec, NamedResourceSpec }: GenericResource): string =>
        (DiscreteResourceSpec ?? NamedResourceSpec)?.Kind ?? '';
      const current = draft.TaskTemplate.Resources?.Reservations?.GenericResources ?? [];
      const byKind = new Map([...current, ...added].map((resource) => [kind(resource), resource]));
      for (const name of removed) {
        if (!byKind.delete(name)) throw new CommandError(`could not find generic-resource \`${name}\` to remove it`);
      }
      limits(draft, 'Reservations', { GenericResources: [...byKind.values()] });
    },
  }),
  settings(
    { 'log-driver': text('Logging driver for service'), 'log-opt': list('Logging driver options') },
    (draft, values) => {
      const name = values['log-driver'];
      if (name === undefined || name === '') return;
      const Options = changePairs({}, { added: values['log-opt'], removed: [] });
      draft.TaskTemplate.LogDriver = { Name: name, ...(Object.keys(Options).length > 0 ? { Options } : {}) };
    },
  ),
];

function initialMode(mode: string): NonNullable<SpecDraft['Mode']> {
  switch (mode) {
    case 'replicated':
      return { Replicated: {} };
    case 'global':
      return { Global: {} };
    case 'replicated-job':
      return { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } };
    case 'global-job':
      return { GlobalJob: {} };
    default:
      throw new CommandError(`Unknown mode: ${mode}, only replicated and global supported`);
  }
}

function applyReplicas(draft: SpecDraft, replicas: number | undefined, concurrent: number | undefined): void {
  const { Replicated, ReplicatedJob } = draft.Mode ?? {};
  if (Replicated == null && ReplicatedJob == null && replicas !== undefined) {
    throw new CommandError('replicas can only be used with replicated or replicated-job mode');
  }
  if (ReplicatedJob == null && concurrent !== undefined) {
    throw new CommandError('max-concurrent can only be used with replicated-job mode');
  }
  if (Replicated != null && replicas !== undefined) draft.Mode = { Replicated: { Replicas: replicas } };
  if (ReplicatedJob != null) {
    const TotalCompletions = replicas ?? ReplicatedJob.TotalCompletions ?? 1;
    draft.Mode = { ReplicatedJob: { MaxConcurrent: concurrent ?? TotalCompletions, TotalCompletions } };
  }
}
