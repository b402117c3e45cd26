import { canonicalAddress } from './addresses.js';
import { attributesOf, list, type NetlinkQuery, type NetlinkRecord } from './netlink.js';

/** An interface as the kernel has it. */
export interface Link {
  name: string;
  up: boolean;
  /** Bytes. */
  mtu: number;
  macAddress: string;
  /** Name of the bridge that it is a port of; empty for none. */
  master: string;
  /** `bridge`, `vxlan`, `veth`; empty for others. */
  kind: string;
  /** Of a bridge. */
  multicastSnooping: boolean;
  /** Of a VXLAN device. */
  vxlan: { vni: number; local: string; port: number; learning: boolean; proxy: boolean };
  /** As a port of a bridge. */
  port: { hairpin: boolean; learning: boolean };
  addresses: { address: string; prefix: number }[];
}

/** An entry of the forwarding table of a bridge, or of a VXLAN device in one. */
export interface ForwardingEntry {
  macAddress: string;
  link: string;
  /** Whether it is the bridge's, and made to stay. */
  fixed: boolean;
  /** Node that a VXLAN device sends to; empty for the bridge's entries. */
  node: string;
}

/** Links, addresses and neighbours of one namespace. */
export interface KernelView {
  links: ReadonlyMap<string, Link>;
  forwarding: ForwardingEntry[];
  /** Those that stay, of all links. */
  neighbours: { address: string; macAddress: string; link: string }[];
}

// Numbers of rtnetlink(7) and linux/if_link.h.
const RTM_GETLINK = 18;
const RTM_GETADDR = 22;
const RTM_GETNEIGH = 30;
const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_BRIDGE = 7;
const AF_INET6 = 10;
const IFF_UP = 1;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const LINK = { address: 1, name: 3, mtu: 4, master: 10, info: 18 };
const INFO = { kind: 1, data: 2, portData: 5 };
const BRIDGE_SNOOPING = 23;
const VXLAN = { id: 1, local: 4, learning: 7, proxy: 11, port: 15, local6: 17 };
const PORT = { hairpin: 4, learning: 8 };
const ADDRESS = { address: 1, local: 2 };
const NEIGHBOUR = { address: 1, mac: 2, master: 9 };

/** Reads the namespace that the netlink socket `fd` is of: a few milliseconds at most, and nothing is started. */
export function readKernel(fd: number): KernelView {
  const linkQuery = { type: RTM_GETLINK, family: AF_UNSPEC, headerBytes: 16 };
  const indexed = list(fd, linkQuery, (record) => ({
    index: record.header.readInt32LE(4),
    masterIndex: record.attributes.get(LINK.master)?.readInt32LE(0) ?? 0,
    link: linkOf(record),
  }));
  const byIndex = new Map(indexed.map(({ index, link }) => [index, link]));
  const nameOf = (index: number) => byIndex.get(index)?.name ?? '';
  for (const { masterIndex, link } of indexed) link.master = nameOf(masterIndex);
  list(fd, { type: RTM_GETADDR, family: AF_UNSPEC, headerBytes: 8 }, ({ header, attributes }) => {
    const address = ipAddress(attributes.get(ADDRESS.local) ?? attributes.get(ADDRESS.address));
    byIndex.get(header.readInt32LE(4))?.addresses.push({ address, prefix: header[1]! });
  });
  return {
    links: new Map(indexed.map(({ link }) => [link.name, link])),
    forwarding: list(fd, neighbourQuery(AF_BRIDGE), ({ header, attributes }) => ({
      macAddress: macAddress(attributes.get(NEIGHBOUR.mac)),
      link: nameOf(header.readInt32LE(4)),
      fixed: attributes.has(NEIGHBOUR.master) && (header.readUInt16LE(8) & NUD_NOARP) !== 0,
      node: ipAddress(attributes.get(NEIGHBOUR.address)),
    })),
    neighbours: [AF_INET, AF_INET6].flatMap((family) =>
      list(fd, neighbourQuery(family), ({ header, attributes }) => ({
        address: ipAddress(attributes.get(NEIGHBOUR.address)),
        macAddress: macAddress(attributes.get(NEIGHBOUR.mac)),
        link: nameOf(header.readInt32LE(4)),
        stays: (header.readUInt16LE(8) & NUD_PERMANENT) !== 0,
      })).filter((neighbour) => neighbour.stays && neighbour.macAddress !== ''),
    ),
  };
}

function neighbourQuery(family: number): NetlinkQuery {
  return { type: RTM_GETNEIGH, family, headerBytes: 12 };
}

function linkOf({ header, attributes }: NetlinkRecord): Link {
  const info = attributesOf(attributes.get(LINK.info));
  const kind = text(info.get(INFO.kind));
  const data = attributesOf(info.get(INFO.data));
  const port = attributesOf(info.get(INFO.portData));
  const is = (set: ReadonlyMap<number, Buffer>, attribute: number) => set.get(attribute)?.[0] === 1;
  const local = data.get(VXLAN.local) ?? data.get(VXLAN.local6);
  const vxlan = kind === 'vxlan';
  return {
    name: text(attributes.get(LINK.name)),
    up: (header.readUInt32LE(8) & IFF_UP) !== 0,
    mtu: attributes.get(LINK.mtu)?.readUInt32LE(0) ?? 0,
    macAddress: macAddress(attributes.get(LINK.address)),
    master: '',
    kind,
    multicastSnooping: kind === 'bridge' && is(data, BRIDGE_SNOOPING),
    vxlan: {
      vni: vxlan ? (data.get(VXLAN.id)?.readUInt32LE(0) ?? 0) : 0,
      local: vxlan && local ? ipAddress(local) : '',
      port: vxlan ? (data.get(VXLAN.port)?.readUInt16BE(0) ?? 0) : 0,
      learning: vxlan && is(data, VXLAN.learning),
      proxy: vxlan && is(data, VXLAN.proxy),
    },
    port: { hairpin: is(port, PORT.hairpin), learning: is(port, PORT.learning) },
    addresses: [],
  };
}

function text(bytes: Buffer | undefined): string {
  return bytes?.toString('latin1').replace(/\0.*$/, '') ?? '';
}

function macAddress(bytes: Buffer | undefined): string {
  let address = '';
  for (const byte of bytes ?? []) address += `${address === '' ? '' : ':'}${byte < 16 ? '0' : ''}${byte.toString(16)}`;
  return address;
}

function ipAddress(bytes: Buffer | undefined): string {
  if (!bytes) return '';
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  return canonicalAddress(bytes.toString('hex').replace(/....(?=.)/g, '$&:'));
}
