import type { FormatRow } from '@swarmd/template';
import type { ApiNetwork } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { listNetworks } from '../../client/resources.js';
import { forEachRef } from '../../output/each.js';
import { printInspect } from '../../output/inspect.js';
import {
  filterFlag,
  formatFlag,
  inspectFormatFlag,
  type ListLayout,
  parseFilters,
  printList,
  shortId,
} from '../../output/list.js';
import { sortedPairs } from '../../output/pretty.js';
import { type Command, command } from '../../program/command.js';
import { bool, list, strings, text } from '../../program/flag-types.js';
import { naturalCompare } from '../../text/natural-order.js';
import { printWarnings } from '../service/common.js';
import { changePairs } from '../service/spec/draft.js';

/** `network create`: networks of the cluster; those of one engine are made with docker. */
export const networkCreate: Command = command({
  name: 'create',
  summary: 'Create a network',
  synopsis: 'NETWORK',
  arity: 1,
  flags: {
    attachable: bool('Enable manual container attachment'),
    driver: text('Driver to manage the Network', { short: 'd', defaultText: '"overlay"' }),
    gateway: strings('IPv4 or IPv6 Gateway for the master subnet'),
    ingress: bool('Create swarm routing-mesh network'),
    internal: bool('Restrict external access to the network'),
    'ip-range': strings('Allocate container ip from a sub-range'),
    'ipam-driver': text('IP Address Management Driver', { defaultText: '"default"' }),
    ipv6: bool('Enable or disable IPv6 address assignment'),
    label: list('Set metadata on a network'),
    opt: list('Set driver specific options', { short: 'o', typeName: 'map', defaultText: 'map[]' }),
    subnet: strings('Subnet in CIDR format that represents a network segment'),
  },
  async run(context, { flags, args }) {
    const { gateway, subnet } = flags;
    const Config = subnet.map((Subnet, index) => ({
      Subnet,
      ...(gateway[index] === undefined ? {} : { Gateway: gateway[index] }),
      ...(flags['ip-range'][index] === undefined ? {} : { IPRange: flags['ip-range'][index] }),
    }));
    const { Id, Warning } = await context.client.post<{ Id: string; Warning?: string }>('/networks/create', {
      body: {
        Name: args[0],
        Driver: flags.driver ?? 'overlay',
        Scope: 'swarm',
        IPAM: { Driver: flags['ipam-driver'] ?? 'default', Options: {}, Config },
        Internal: flags.internal,
        Attachable: flags.attachable,
        Ingress: flags.ingress,
        ...(flags.ipv6 ? { EnableIPv6: true } : {}),
        Options: changePairs({}, { added: flags.opt, removed: [] }),
        Labels: changePairs({}, { added: flags.label, removed: [] }),
      },
    });
    printWarnings(context, Warning ? Warning.split('\n') : []);
    context.out.write(`${Id}\n`);
  },
});

const NETWORK_LAYOUT: ListLayout = {
  headers: {
    ID: 'NETWORK ID',
    Name: 'NAME',
    Driver: 'DRIVER',
    Scope: 'SCOPE',
    IPv4: 'IPV4',
    IPv6: 'IPV6',
    Internal: 'INTERNAL',
    Labels: 'LABELS',
    CreatedAt: 'CREATED AT',
    Addresses: 'ADDRESSES',
  },
  table: '{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.Addresses}}',
};

/** `network ls`. */
export const networkLs: Command = command({
  name: 'ls',
  aliases: ['list'],
  summary: 'List networks',
  flags: {
    filter: { ...filterFlag, usage: 'Provide filter values (e.g. "driver=bridge")' },
    format: formatFlag,
    'no-trunc': bool('Do not truncate the output'),
    quiet: bool('Only display network IDs', { short: 'q' }),
  },
  async run(context, { flags }) {
    const networks = await listNetworks(context.client, parseFilters(flags.filter));
    const rows = networks
      .toSorted((a, b) => naturalCompare(a.Name, b.Name))
      .map((network) => networkRow(network, flags['no-trunc']));
    printList(context, NETWORK_LAYOUT, rows, flags);
  },
});

function networkRow(network: ApiNetwork, whole: boolean): FormatRow {
  return {
    ID: whole ? network.Id : shortId(network.Id),
    Name: network.Name,
    Driver: network.Driver ?? '',
    Scope: network.Scope ?? '',
    IPv4: String(network.EnableIPv4 ?? true),
    IPv6: String(network.EnableIPv6 ?? false),
    Internal: String(network.Internal ?? false),
    Labels: sortedPairs(network.Labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Label: (name: string) => network.Labels?.[name] ?? '',
    CreatedAt: network.Created ?? '',
    Addresses: addressUse(network),
  };
}

/** IPv4 addresses in use of all that there are; empty for networks of one engine. */
function addressUse({ Status }: ApiNetwork): string {
  const v4 = Object.entries(Status?.IPAM?.Subnets ?? {}).filter(([subnet]) => !subnet.includes(':'));
  if (v4.length === 0) return '';
  const used = v4.reduce((sum, [, { IPsInUse }]) => sum + IPsInUse, 0);
  return `${used}/${v4.reduce((sum, [, { DynamicIPsAvailable }]) => sum + DynamicIPsAvailable, used)}`;
}

/** `network inspect`. */
export const networkInspect: Command = command({
  name: 'inspect',
  summary: 'Display detailed information on one or more networks',
  synopsis: 'NETWORK [NETWORK...]',
  arity: { min: 1 },
  argument: 'network',
  flags: { format: inspectFormatFlag, verbose: bool('Verbose output for diagnostics', { short: 'v' }) },
  async run(context, { flags, args }) {
    const query = { verbose: flags.verbose ? true : undefined };
    await printInspect(context, args, flags.format, (ref) =>
      context.client.get(objectPath('networks', ref), { query }),
    );
  },
});

/** `network rm`. */
export const networkRm: Command = command({
  name: 'rm',
  aliases: ['remove'],
  summary: 'Remove one or more networks',
  synopsis: 'NETWORK [NETWORK...]',
  arity: { min: 1 },
  argument: 'network',
  flags: { force: bool('Do not error if the network does not exist', { short: 'f' }) },
  async run(context, { flags, args }) {
    await forEachRef(context, args, async (ref) => {
      try {
        await context.client.delete(objectPath('networks', ref));
      } catch (thrown) {
        if (!flags.force || !isNotFound(thrown)) throw thrown;
      }
      return ref;
    });
  },
});
