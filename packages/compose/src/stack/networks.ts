import type { NetworkAttachmentConfig, NetworkSpec } from '@swarmd/model';
import type { Report } from '../problem.js';
import type { Network, Project, Service } from '../project/types.js';
import { omitEmpty, scoped, sortedBy, stackLabels } from './namespace.js';

/** What a service joins when it names no network. */
const DEFAULT_NETWORK = 'default';
/** Networks of the engine itself, which take no aliases. */
const PREDEFINED = ['bridge', 'host', 'none', 'default'];
/** Drivers whose networks reach one node only. */
const NODE_DRIVERS = ['bridge', 'macvlan', 'ipvlan', 'host', 'none', 'null'];

/** A service's networks by name, in the order of their names; every one knows the service by its name in the file. */
export function convertMemberships(project: Project, service: Service, namespace: string): NetworkAttachmentConfig[] {
  const attachments = joinedNetworks(service).map((name): NetworkAttachmentConfig => {
    const membership = service.networks[name];
    const target = project.networks[name]?.name ?? scoped(namespace, name);
    const aliases = [...(membership?.aliases ?? []), ...(PREDEFINED.includes(target) ? [] : [service.name])];
    return { Target: target, ...omitEmpty({ Aliases: aliases, DriverOpts: membership?.driverOptions }) };
  });
  return sortedBy(attachments, (attachment) => attachment.Target ?? '');
}

function joinedNetworks(service: Service): string[] {
  const names = Object.keys(service.networks);
  return names.length === 0 ? [DEFAULT_NETWORK] : names;
}

/** The networks that the stack needs: those to create, and names of those that must exist. Unused ones are left out. */
export function convertNetworks(
  project: Project,
  namespace: string,
  report: Report,
): { networks: NetworkSpec[]; external: string[] } {
  const used = new Set(Object.values(project.services).flatMap(joinedNetworks));
  for (const name of Object.keys(project.networks)) {
    if (!used.has(name)) reportNetwork(project, name, 'info', 'not created: no service uses it', report);
  }
  const networks: NetworkSpec[] = [];
  const external: string[] = [];
  for (const name of used) {
    const network = project.networks[name];
    if (network?.external === true) external.push(network.name ?? name);
    else networks.push(convertNetwork(name, network, namespace));
    if (network?.driver !== undefined && NODE_DRIVERS.includes(network.driver)) {
      const message = `a network of driver ${network.driver} connects only tasks of the same node; overlay connects all`;
      reportNetwork(project, name, 'warning', message, report);
    }
  }
  return { networks, external: external.sort() };
}

function reportNetwork(
  project: Project,
  name: string,
  severity: 'info' | 'warning',
  message: string,
  report: Report,
): void {
  const at = project.positions.get(`networks.${name}`);
  report({ path: `networks.${name}`, severity, message, ...(at === undefined ? {} : { at }) });
}

function convertNetwork(name: string, network: Network | undefined, namespace: string): NetworkSpec {
  return {
    Name: network?.name ?? scoped(namespace, name),
    Driver: network?.driver ?? 'overlay',
    Labels: stackLabels(namespace, network?.labels ?? {}),
    ...omitEmpty({
      Options: network?.driverOptions,
      Internal: network?.internal,
      Attachable: network?.attachable,
      EnableIPv6: network?.enableIpv6,
      IPAM: convertIpam(network?.ipam),
    }),
    ...(network?.enableIpv4 === undefined ? {} : { EnableIPv4: network.enableIpv4 }),
  };
}

function convertIpam(ipam: Network['ipam']): NetworkSpec['IPAM'] {
  if (ipam === undefined) return undefined;
  const blocks = ipam.config.map((block) =>
    omitEmpty({
      Subnet: block.subnet,
      IPRange: block.ipRange,
      Gateway: block.gateway,
      AuxiliaryAddresses: block.auxAddresses,
    }),
  );
  return omitEmpty({ Driver: ipam.driver, Options: ipam.options, Config: blocks });
}
