import { DEFAULTS, NS_PER_MS, type RestartPolicy, type UpdateConfig } from '@swarmd/model';
import { duration, float, text, uint } from '../../../program/flag-types.js';
import { type DefaultedFlag, defaulted, type SpecEdit } from './draft.js';

/** What the docker CLI fills in when the first of a group of such flags is given. */
const ROLLOUT_DEFAULTS: UpdateConfig = {
  Parallelism: DEFAULTS.updateParallelism,
  FailureAction: 'pause',
  Monitor: DEFAULTS.updateMonitorMs * NS_PER_MS,
  MaxFailureRatio: DEFAULTS.updateMaxFailureRatio,
  Order: 'stop-first',
};

const ORDERS = ['start-first', 'stop-first'] as const;

/** `--update-*` or `--rollback-*`. */
function rollout(prefix: 'update' | 'rollback', field: 'UpdateConfig' | 'RollbackConfig'): SpecEdit {
  const isUpdate = prefix === 'update';
  const actions = isUpdate ? ['pause', 'continue', 'rollback'] : ['pause', 'continue'];
  const simultaneous = isUpdate ? 'updated simultaneously (0 to update' : 'rolled back simultaneously (0 to roll back';
  const title = isUpdate ? 'Update' : 'Rollback';
  const during = isUpdate ? 'an update' : 'a rollback';
  const flags: Record<string, DefaultedFlag & { field: keyof UpdateConfig }> = {
    parallelism: {
      field: 'Parallelism',
      defaultText: '1',
      make: (options) => uint(`Maximum number of tasks ${simultaneous} all at once)`, options),
    },
    delay: {
      field: 'Delay',
      defaultText: '0s',
      make: (options) => duration(`Delay between ${isUpdate ? 'updates' : 'task rollbacks'} (ns|us|ms|s|m|h)`, options),
    },
    monitor: {
      field: 'Monitor',
      defaultText: '5s',
      make: (options) =>
        duration(`Duration after each task ${prefix} to monitor for failure (ns|us|ms|s|m|h)`, options),
    },
    'failure-action': {
      field: 'FailureAction',
      defaultText: '"pause"',
      make: (options) => text(`Action on ${prefix} failure (${quoted(actions)})`, { ...options, words: actions }),
    },
    'max-failure-ratio': {
      field: 'MaxFailureRatio',
      defaultText: '0',
      make: (options) => float(`Failure rate to tolerate during ${during}`, options),
    },
    order: {
      field: 'Order',
      defaultText: '"stop-first"',
      make: (options) => text(`${title} order (${quoted(ORDERS)})`, { ...options, words: ORDERS }),
    },
  };
  const named = Object.fromEntries(Object.entries(flags).map(([name, flag]) => [`${prefix}-${name}`, flag]));
  return defaulted(named, (draft, given) => {
    const changes = [...given].map(([name, value]) => [named[name]!.field, value]);
    draft[field] = { ...ROLLOUT_DEFAULTS, ...draft[field], ...Object.fromEntries(changes) };
  });
}

function quoted(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(', ');
}

const CONDITIONS = ['none', 'on-failure', 'any'] as const;

const RESTART_FLAGS: Readonly<Record<string, DefaultedFlag & { field: keyof RestartPolicy }>> = {
  'restart-condition': {
    field: 'Condition',
    defaultText: '"any"',
    make: (options) => text(`Restart when condition is met (${quoted(CONDITIONS)})`, { ...options, words: CONDITIONS }),
  },
  'restart-delay': {
    field: 'Delay',
    defaultText: '5s',
    make: (options) => duration('Delay between restart attempts (ns|us|ms|s|m|h)', options),
  },
  'restart-max-attempts': {
    field: 'MaxAttempts',
    make: () => uint('Maximum number of restarts before giving up'),
  },
  'restart-window': {
    field: 'Window',
    make: () => duration('Window used to evaluate the restart policy (ns|us|ms|s|m|h)'),
  },
};

const RESTART_DEFAULTS: RestartPolicy = {
  Condition: 'any',
  Delay: DEFAULTS.restartDelayMs * NS_PER_MS,
  MaxAttempts: 0,
};

/** Edits of how tasks are replaced: updates, rollbacks, restarts. */
export const ROLLOUT_EDITS: readonly SpecEdit[] = [
  rollout('update', 'UpdateConfig'),
  rollout('rollback', 'RollbackConfig'),
  defaulted(RESTART_FLAGS, (draft, given) => {
    const changes = [...given].map(([name, value]) => [RESTART_FLAGS[name]!.field, value]);
    const current = draft.TaskTemplate.RestartPolicy ?? RESTART_DEFAULTS;
    draft.TaskTemplate.RestartPolicy = { ...current, ...Object.fromEntries(changes) };
  }),
];
