import type { Mount, NetworkAttachmentConfig, PortConfig } from '@swarmd/model';
import { CommandError } from '../../../program/errors.js';
import { custom, type Flag, text } from '../../../program/flag-types.js';
import { csvPairs } from '../../../text/csv.js';
import { collection, type SpecEdit, setting, splitPair } from './draft.js';
import { changeConfigs, changeSecrets, type FileReference, parseFileReference } from './file-references.js';
import { changeMounts, compareMounts, parseMount } from './mounts.js';
import { changePorts, parsePorts } from './ports.js';

/** A network as a flag names it; `Target` is still a name. */
export type NetworkRequest = NetworkAttachmentConfig & { Target: string };

function items<T>(
  typeName: string,
  parse: (value: string) => T[],
): (usage: string, options: { short?: string }) => Flag<T[]> {
  return (usage, options) =>
    custom<T[]>(typeName, usage, [], (value, current) => [...current, ...parse(value)], options);
}

/** Network of `net` or `name=net,alias=web,driver-opt=a=b`. */
export function parseNetwork(value: string): NetworkRequest {
  if (!value.includes('=')) return { Target: value };
  const request: NetworkRequest = { Target: '' };
  for (const [key, text] of csvPairs(value)) {
    if (key === 'name') request.Target = text;
    else if (key === 'alias') request.Aliases = [...(request.Aliases ?? []), text];
    else if (key === 'driver-opt')
      request.DriverOpts = { ...request.DriverOpts, ...Object.fromEntries([splitPair(text)]) };
    else throw new Error(`invalid field key ${key}`);
  }
  if (request.Target === '') throw new Error('network name/id is not specified');
  return request;
}

const publish = items<PortConfig>('port', parsePorts);

/** Edits of what tasks are connected to: mounts, networks, ports, secrets and configs. */
export const ATTACHMENT_EDITS: readonly SpecEdit[] = [
  collection<Mount>({
    name: 'mount',
    usage: [
      'Attach a filesystem mount to the service',
      'Add or update a mount on a service',
      'Remove a mount by its target path',
    ],
    flag: items('mount', (value) => [parseMount(value)]),
    edit: (draft, change, { directory }) => {
      const container = draft.TaskTemplate.ContainerSpec;
      const isNew = container.Mounts == null;
      const mounts = changeMounts(container.Mounts ?? [], change, directory);
      container.Mounts = isNew ? mounts : mounts.toSorted(compareMounts);
    },
  }),
  collection<NetworkRequest>({
    name: 'network',
    usage: ['Network attachments', 'Add a network', 'Remove a network'],
    flag: items('network', (value) => [parseNetwork(value)]),
    edit: (draft, { added, removed }, { networks }) => {
      const gone = removed.flatMap((name) => [name, networks.get(name) ?? name]);
      const current = draft.TaskTemplate.Networks ?? draft.Networks ?? [];
      delete draft.Networks;
      const kept = current.filter(({ Target }) => !gone.includes(Target ?? ''));
      for (const { Target } of added) {
        if (kept.some((network) => network.Target === networks.get(Target) || network.Target === Target)) {
          throw new CommandError(`service is already attached to network ${Target}`);
        }
      }
      const attached = [
        ...kept,
        ...added.map((network) => ({ ...network, Target: networks.get(network.Target) ?? network.Target })),
      ];
      draft.TaskTemplate.Networks = attached.toSorted((a, b) => ((a.Target ?? '') < (b.Target ?? '') ? -1 : 1));
    },
  }),
  {
    create: { publish: publish('Publish a port as a node port', { short: 'p' }) as Flag<unknown> },
    update: {
      'publish-add': publish('Add or update a published port', {}) as Flag<unknown>,
      'publish-rm': publish('Remove a published port by its target port', {}) as Flag<unknown>,
    },
    apply(draft, { flags, given }) {
      if (!['publish', 'publish-add', 'publish-rm'].some((name) => given.has(name))) return;
      const added = [...((flags['publish'] ?? []) as PortConfig[]), ...((flags['publish-add'] ?? []) as PortConfig[])];
      const removed = (flags['publish-rm'] ?? []) as PortConfig[];
      const Ports = given.has('publish') ? added : changePorts(draft.EndpointSpec?.Ports ?? [], { added, removed });
      draft.EndpointSpec = { ...draft.EndpointSpec, Ports };
    },
  },
  {
    create: {
      'endpoint-mode': text('Endpoint mode (vip or dnsrr)', { defaultText: '"vip"', words: ['vip', 'dnsrr'] }),
    },
    update: { 'endpoint-mode': text('Endpoint mode (vip or dnsrr)', { words: ['vip', 'dnsrr'] }) },
    apply(draft, { flags, given }) {
      if (!given.has('endpoint-mode')) return;
      draft.EndpointSpec = { ...draft.EndpointSpec, Mode: String(flags['endpoint-mode']).toLowerCase() as 'vip' };
    },
  },
  collection<FileReference>({
    name: 'secret',
    usage: ['Specify secrets to expose to the service', 'Add or update a secret on a service', 'Remove a secret'],
    flag: items('secret', (value) => [parseFileReference(value, 'secret')]),
    edit: (draft, change, { secrets }) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Secrets = changeSecrets(container.Secrets ?? [], change, secrets);
    },
  }),
  collection<FileReference>({
    name: 'config',
    usage: [
      'Specify configurations to expose to the service',
      'Add or update a config file on a service',
      'Remove a configuration file',
    ],
    flag: items('config', (value) => [parseFileReference(value, 'config')]),
    edit: (draft, change, { configs }) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Configs = changeConfigs(container.Configs ?? [], change, configs);
    },
  }),
  setting(
    'credential-spec',
    text('Credential spec for managed service account (Windows only)', { typeName: 'credential-spec' }),
    (draft, value) => {
      const container = draft.TaskTemplate.ContainerSpec;
      container.Privileges = { ...container.Privileges, CredentialSpec: credentialSpec(value) };
    },
  ),
];

function credentialSpec(value: string): Record<string, string> | null {
  const [kind, rest] = value.split('://', 2);
  if (value === '') return null;
  const field = { config: 'Config', file: 'File', registry: 'Registry' }[kind ?? ''];
  if (rest === undefined || field === undefined) {
    throw new CommandError(
      'invalid credential spec: value must be prefixed with "config://", "file://", or "registry://"',
    );
  }
  return { [field]: rest };
}
