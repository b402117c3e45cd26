import type { EndpointSpec, Network, PortConfig, ReadView, Service, ServiceSpec, WriteTx } from '@swarmd/model';
import { invalid } from './errors.js';
import { predefinedNetwork } from './predefined-networks.js';
import { resolve } from './references.js';

/** Checks that the secrets and configs a spec refers to exist under both ID and name, at distinct targets. */
export function checkDataReferences(view: ReadView, spec: ServiceSpec): void {
  const container = spec.TaskTemplate?.ContainerSpec;
  const secrets = (container?.Secrets ?? []).map((s) => ({ ...s, id: s.SecretID, name: s.SecretName, runtime: false }));
  const configs = (container?.Configs ?? []).map((c) => ({
    ...c,
    id: c.ConfigID,
    name: c.ConfigName,
    runtime: Boolean(c.Runtime),
  }));
  checkKind(view, 'secret', secrets);
  checkKind(view, 'config', configs);
}

interface DataReference {
  id: string;
  name: string;
  runtime: boolean;
  File?: { Name: string } | null | undefined;
}

function checkKind(view: ReadView, kind: 'secret' | 'config', references: readonly DataReference[]): void {
  const field = `TaskTemplate.ContainerSpec.${kind === 'secret' ? 'Secrets' : 'Configs'}`;
  const targets = new Map<string, string>();
  for (const { id, name, File, runtime } of references) {
    if (id === '' || name === '') throw invalid(`malformed ${kind} reference`, field);
    if (!File) {
      if (runtime) continue;
      throw invalid(`malformed ${kind} reference, no target provided`, field);
    }
    if (File.Name === '') throw invalid(`malformed file ${kind} reference, invalid target file name provided`, field);
    const other = targets.get(File.Name);
    if (other !== undefined) {
      throw invalid(`${kind} references '${other}' and '${name}' have a conflicting target: '${File.Name}'`, field);
    }
    targets.set(File.Name, name);
  }
  const missing = references.filter((r) => view.get(kind, r.id)?.Spec.Name !== r.name).map((r) => r.name);
  if (missing.length > 0)
    throw invalid(`${kind}${missing.length > 1 ? 's' : ''} not found: ${missing.join(', ')}`, field);
}

/**
 * The spec with each network given by ID. Networks of the nodes themselves (`host`, `bridge`) come into being when
 * they are first used. Throws `not-found` for a network that does not exist.
 */
export function withNetworkIds(tx: WriteTx, spec: ServiceSpec): ServiceSpec {
  const networks = spec.TaskTemplate?.Networks;
  if (!networks || networks.length === 0) return spec;
  const resolved = networks.map((attachment) => {
    const network = findOrPredefine(tx, attachment.Target ?? '');
    if (network.Spec.Ingress) {
      throw invalid(
        `Service cannot be explicitly attached to the ingress network "${network.Spec.Name}"`,
        'TaskTemplate.Networks',
      );
    }
    return { ...attachment, Target: network.ID };
  });
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks: resolved } };
}

function findOrPredefine(tx: WriteTx, target: string): Network {
  const predefined = predefinedNetwork(target);
  if (predefined !== undefined) return tx.get('network', predefined.ID) ?? tx.create('network', predefined);
  return resolve(tx, 'network', target);
}

const portKey = (port: PortConfig): string => `${port.PublishedPort}/${port.Protocol ?? 'tcp'}`;

/**
 * Checks the ports that a spec publishes against all other services: an ingress port is taken once in the cluster;
 * a host-mode port may repeat (the scheduler keeps such tasks apart) but not coincide with an ingress port.
 */
export function checkPortConflicts(view: ReadView, endpoint: EndpointSpec | null | undefined, ownId: string): void {
  const wanted = new Map<string, boolean>();
  for (const port of endpoint?.Ports ?? []) {
    if (port.PublishedPort) wanted.set(portKey(port), port.PublishMode === 'host');
  }
  if (wanted.size === 0) return;
  for (const service of view.all('service')) {
    if (service.ID === ownId || service.PendingDelete) continue;
    for (const port of publishedPorts(service)) {
      const wantedAsHost = port.PublishedPort ? wanted.get(portKey(port)) : undefined;
      if (wantedAsHost === undefined) continue;
      const takenAsHost = port.PublishMode === 'host';
      if (takenAsHost && wantedAsHost) continue;
      const how = takenAsHost ? 'a host-published port' : 'an ingress port';
      throw invalid(
        `port '${port.PublishedPort}' is already in use by service '${service.Spec.Name}' (${service.ID}) as ${how}`,
        'EndpointSpec.Ports',
      );
    }
  }
}

function publishedPorts(service: Service): PortConfig[] {
  return [...(service.Spec.EndpointSpec?.Ports ?? []), ...(service.Endpoint?.Ports ?? [])];
}
