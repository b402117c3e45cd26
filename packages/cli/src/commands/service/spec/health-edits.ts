import { CommandError } from '../../../program/errors.js';
import { bool, duration, int, text } from '../../../program/flag-types.js';
import { type SpecEdit, settings } from './draft.js';

const HEALTH_FLAGS = {
  'health-cmd': text('Command to run to check health'),
  'health-interval': duration('Time between running the check (ms|s|m|h)', { positive: true }),
  'health-timeout': duration('Maximum time to allow one check to run (ms|s|m|h)', { positive: true }),
  'health-retries': int('Consecutive failures needed to report unhealthy'),
  'health-start-period': duration(
    'Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)',
    { positive: true },
  ),
  'health-start-interval': duration('Time between running the check during the start period (ms|s|m|h)', {
    positive: true,
  }),
};

/** `--health-*` and `--no-healthcheck`. */
export const HEALTH_EDITS: readonly SpecEdit[] = [
  settings(
    { ...HEALTH_FLAGS, 'no-healthcheck': bool('Disable any container-specified HEALTHCHECK') },
    (draft, values, given) => {
      const container = draft.TaskTemplate.ContainerSpec;
      if (values['no-healthcheck']) {
        if (Object.keys(HEALTH_FLAGS).some((name) => given.has(name))) {
          throw new CommandError('--no-healthcheck conflicts with --health-* options');
        }
        container.Healthcheck = { Test: ['NONE'] };
        return;
      }
      const check = { ...container.Healthcheck };
      if (check.Test?.[0] === 'NONE') delete check.Test;
      const command = values['health-cmd'];
      if (command === '') delete check.Test;
      else if (command !== undefined) check.Test = ['CMD-SHELL', command];
      const changes = {
        Interval: values['health-interval'],
        Timeout: values['health-timeout'],
        StartPeriod: values['health-start-period'],
        StartInterval: values['health-start-interval'],
        Retries: values['health-retries'],
      };
      const set = Object.entries(changes).filter(([, value]) => value !== undefined);
      container.Healthcheck = { ...check, ...Object.fromEntries(set) };
    },
  ),
];
