import { release } from 'node:os';
import type { DataPathConfig } from '@swarmd/model';
import { type Run, runJson } from './command.js';
import { readWalls, type Wall } from './walls.js';

/** A link of the host, as far as audits care. */
export interface HostLink {
  name: string;
  /** Bytes. */
  mtu: number;
  /** Such as `vxlan`; empty for what has none. */
  kind: string;
  /** Of a VXLAN device. */
  vni?: number;
  /** Without prefix lengths. */
  addresses: string[];
}

/** What an audit looks at in the host's own namespace. */
export interface HostFacts {
  links: HostLink[];
  /** Destinations in CIDR notation, the default routes left out. */
  routes: { destination: string; device: string }[];
  /** Firewalls that keep the port of the overlays shut, none where there are no overlays. */
  walls: Wall[];
  /** Such as `6.1.0-18-amd64` and `1.0.6`; empty when it is not there. */
  kernel: string;
  nft: string;
  /** Tools that are needed and are not there. */
  missingTools: string[];
}

interface IpLink {
  ifname: string;
  mtu: number;
  linkinfo?: { info_kind?: string; info_data?: { id?: number } };
}
interface IpAddress {
  ifname: string;
  addr_info?: { local?: string }[];
}
interface IpRoute {
  dst: string;
  dev?: string;
  type?: string;
}

/** Tools whose absence makes networks fail, or a part of the audit. */
const TOOLS = ['ip', 'bridge', 'nft', 'nsenter', 'ping'] as const;

/** Looks at the host; what cannot be read is left empty. `config`: of the overlays, if it takes part. */
export async function readHostFacts(
  run: Run,
  config: Pick<DataPathConfig, 'addr' | 'port'> | undefined,
  signal?: AbortSignal,
): Promise<HostFacts> {
  const options = { signal };
  const [links, addresses, routes, routes6, nft, missingTools] = await Promise.all([
    runJson<IpLink[]>(run, ['ip', '-j', '-d', 'link', 'show'], options),
    runJson<IpAddress[]>(run, ['ip', '-j', 'address', 'show'], options),
    runJson<IpRoute[]>(run, ['ip', '-j', '-4', 'route', 'show', 'table', 'main'], options),
    runJson<IpRoute[]>(run, ['ip', '-j', '-6', 'route', 'show', 'table', 'main'], options),
    run(['nft', '--version'], options),
    missing(run, signal),
  ]);
  return {
    links: (links ?? []).map((link) => hostLink(link, addresses ?? [])),
    routes: [...(routes ?? []), ...(routes6 ?? [])].flatMap(hostRoute),
    missingTools,
    walls: config === undefined ? [] : await readWalls(run, config, signal),
    kernel: release(),
    nft: /v(\d[\d.]*)/.exec(nft.stdout)?.[1] ?? '',
  };
}

function hostLink({ ifname, mtu, linkinfo }: IpLink, addresses: readonly IpAddress[]): HostLink {
  const vni = linkinfo?.info_data?.id;
  const own = addresses.find((address) => address.ifname === ifname)?.addr_info ?? [];
  return {
    ...{ name: ifname, mtu, kind: linkinfo?.info_kind ?? '' },
    ...(linkinfo?.info_kind === 'vxlan' && vni !== undefined ? { vni } : {}),
    addresses: own.flatMap(({ local }) => local ?? []),
  };
}

function hostRoute({ dst, dev, type }: IpRoute): HostFacts['routes'] {
  if (dst === 'default' || dev === undefined || (type !== undefined && type !== 'unicast')) return [];
  if (dst.startsWith('fe80:') || dst.startsWith('ff00:')) return [];
  const destination = dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`;
  return [{ destination, device: dev }];
}

async function missing(run: Run, signal: AbortSignal | undefined): Promise<string[]> {
  const found = await Promise.all(
    TOOLS.map(async (tool) => (await run(['sh', '-c', `command -v ${tool}`], { signal })).code === 0),
  );
  return TOOLS.filter((_, i) => !found[i]);
}
