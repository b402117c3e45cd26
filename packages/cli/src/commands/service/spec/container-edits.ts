import { bool, custom, duration, int, list, text, words } from '../../../program/flag-types.js';
import { changeCapabilities } from './capabilities.js';
import { changePairs, changeSet, collection, defaulted, type SpecEdit, setting, settings, splitPair } from './draft.js';
import { changeHosts, checkHost } from './hosts.js';
import { checkIp } from './ports.js';

/** Edits of what runs: image, command, user, directory. */
export const PROCESS_EDITS: readonly SpecEdit[] = [
  setting(
    'image',
    text('Service image tag'),
    (draft, image) => {
      draft.TaskTemplate.ContainerSpec.Image = image;
    },
    'update',
  ),
  setting(
    'args',
    words('Service command args'),
    (draft, args) => {
      draft.TaskTemplate.ContainerSpec.Args = args;
    },
    'update',
  ),
  setting('entrypoint', words('Overwrite the default ENTRYPOINT of the image'), (draft, entrypoint) => {
    draft.TaskTemplate.ContainerSpec.Command = entrypoint;
  }),
  setting('workdir', text('Working directory inside the container', { short: 'w' }), (draft, directory) => {
    draft.TaskTemplate.ContainerSpec.Dir = directory;
  }),
  setting('user', text('Username or UID (format: <name|uid>[:<group|gid>])', { short: 'u' }), (draft, user) => {
    draft.TaskTemplate.ContainerSpec.User = user;
  }),
  collection({
    name: 'group',
    usage: [
      'Set one or more supplementary user groups for the container',
      'Add an additional supplementary user group to the container',
      'Remove a previously added supplementary user group from the container',
    ],
    edit: (draft, change) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Groups = changeSet(container.Groups, change);
    },
  }),
  setting(
    'init',
    bool('Use an init inside each service container to forward signals and reap processes'),
    (draft, init) => {
      draft.TaskTemplate.ContainerSpec.Init = init;
    },
  ),
  setting('tty', bool('Allocate a pseudo-TTY', { short: 't' }), (draft, tty) => {
    draft.TaskTemplate.ContainerSpec.TTY = tty;
  }),
  setting('stop-signal', text('Signal to stop the container'), (draft, signal) => {
    draft.TaskTemplate.ContainerSpec.StopSignal = signal;
  }),
  defaulted(
    {
      'stop-grace-period': {
        defaultText: '10s',
        make: (options) => duration('Time to wait before force killing a container (ns|us|ms|s|m|h)', options),
      },
    },
    (draft, given) => {
      draft.TaskTemplate.ContainerSpec.StopGracePeriod = given.get('stop-grace-period') as number;
    },
  ),
  setting('isolation', text('Service container isolation mode'), (draft, isolation) => {
    draft.TaskTemplate.ContainerSpec.Isolation = isolation;
  }),
];

const envKey = (variable: string): string => splitPair(variable)[0];

/** Variables in their order, of those with one name the last. */
function mergeVariables(variables: readonly string[]): string[] {
  const byKey = new Map<string, string>();
  for (const variable of variables) {
    byKey.delete(envKey(variable));
    byKey.set(envKey(variable), variable);
  }
  return [...byKey.values()];
}

/** Edits of the container's surroundings: variables, names, privileges. */
export const ENVIRONMENT_EDITS: readonly SpecEdit[] = [
  {
    create: {
      env: list('Set environment variables', { short: 'e', check: checkVariable }),
      'env-file': list('Read in a file of environment variables'),
    },
    update: {
      'env-add': list('Add or update an environment variable', { check: checkVariable }),
      'env-rm': list('Remove an environment variable'),
    },
    apply(draft, { flags, given }, { env, envFileVariables }) {
      if (!['env', 'env-file', 'env-add', 'env-rm'].some((name) => given.has(name))) return;
      const container = draft.TaskTemplate.ContainerSpec;
      const added = [...((flags['env'] ?? []) as string[]), ...((flags['env-add'] ?? []) as string[])];
      const removed = (flags['env-rm'] ?? []) as string[];
      const kept = (container.Env ?? []).filter((variable) => !removed.includes(envKey(variable)));
      const filled = added.map((variable) => {
        const inherited = variable.includes('=') ? undefined : env[variable];
        return inherited === undefined ? variable : `${variable}=${inherited}`;
      });
      container.Env = mergeVariables([...kept, ...envFileVariables, ...filled]);
    },
  },
  collection({
    name: 'container-label',
    usage: ['Container labels', 'Add or update a container label', 'Remove a container label by its key'],
    edit: (draft, change) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Labels = changePairs(container.Labels, change);
    },
  }),
  setting('hostname', text('Container hostname'), (draft, hostname) => {
    draft.TaskTemplate.ContainerSpec.Hostname = hostname;
  }),
  collection({
    name: 'host',
    usage: [
      'Set one or more custom host-to-IP mappings (host:ip)',
      'Add a custom host-to-IP mapping ("host:ip")',
      'Remove a custom host-to-IP mapping ("host:ip")',
    ],
    flag: (usage, options) => list(usage, { ...options, check: checkHost }),
    edit: (draft, change) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Hosts = changeHosts(container.Hosts ?? [], change);
    },
  }),
  ...dnsEdits(),
  setting('read-only', bool("Mount the container's root filesystem as read only"), (draft, readOnly) => {
    draft.TaskTemplate.ContainerSpec.ReadOnly = readOnly;
  }),
  settings(
    { 'cap-add': list('Add Linux capabilities'), 'cap-drop': list('Drop Linux capabilities') },
    (draft, values) => {
      const container = draft.TaskTemplate.ContainerSpec;
      const { add, drop } = changeCapabilities(
        { add: container.CapabilityAdd ?? [], drop: container.CapabilityDrop ?? [] },
        { add: values['cap-add'], drop: values['cap-drop'] },
      );
      container.CapabilityAdd = add;
      container.CapabilityDrop = drop;
    },
  ),
  collection({
    name: 'sysctl',
    usage: ['Sysctl options', 'Add or update a Sysctl option', 'Remove a Sysctl option'],
    edit: (draft, change) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Sysctls = changePairs(container.Sysctls, change);
    },
  }),
  collection<Ulimit>({
    name: 'ulimit',
    usage: ['Ulimit options', 'Add or update a ulimit option', 'Remove a ulimit option'],
    flag: (usage) =>
      custom<Ulimit[]>('ulimit', usage, [], (value, current) => [...current, parseUlimit(value)], {
        defaultText: '[]',
      }),
    edit: (draft, { added, removed }) => {
      const container = draft.TaskTemplate.ContainerSpec;
      const byName = new Map([...(container.Ulimits ?? []), ...added].map((ulimit) => [ulimit.Name, ulimit]));
      for (const name of removed) byName.delete(name);
      container.Ulimits = [...byName.values()].toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
    },
  }),
  setting('oom-score-adj', int("Tune host's OOM preferences (-1000 to 1000) "), (draft, adjustment) => {
    draft.TaskTemplate.ContainerSpec.OomScoreAdj = adjustment;
  }),
];

type Ulimit = { Name: string; Hard: number; Soft: number };

function parseUlimit(value: string): Ulimit {
  const match = /^([^=]+)=(-?\d+)(?::(-?\d+))?$/.exec(value);
  if (match === null) throw new Error(`invalid ulimit argument: ${value}`);
  const soft = Number(match[2]);
  const hard = Number(match[3] ?? match[2]);
  if (hard !== -1 && soft > hard) {
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: match[1]!, Hard: hard, Soft: soft };
}

function checkVariable(value: string): string {
  if (envKey(value) === '') throw new Error(`invalid environment variable: ${value}`);
  return value;
}

function dnsEdits(): SpecEdit[] {
  const part = (
    name: string,
    field: 'Nameservers' | 'Search' | 'Options',
    usage: readonly [string, string, string],
    check?: (value: string) => string,
  ): SpecEdit =>
    collection({
      name,
      usage,
      flag: (text, options) => list(text, { ...options, ...(check === undefined ? {} : { check }) }),
      edit: (draft, change) => {
        const container = draft.TaskTemplate.ContainerSpec;
        container.DNSConfig = { ...container.DNSConfig, [field]: changeSet(container.DNSConfig?.[field], change) };
      },
    });
  return [
    part(
      'dns',
      'Nameservers',
      ['Set custom DNS servers', 'Add or update a custom DNS server', 'Remove a custom DNS server'],
      checkIp,
    ),
    part('dns-option', 'Options', ['Set DNS options', 'Add or update a DNS option', 'Remove a DNS option']),
    part('dns-search', 'Search', [
      'Set custom DNS search domains',
      'Add or update a custom DNS search domain',
      'Remove a DNS search domain',
    ]),
  ];
}
