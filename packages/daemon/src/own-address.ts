import type { InitRequest } from '@swarmd/model';
import { addressLike, formatAddress, guessAdvertiseHost, interfaceOf, parseAddress, parseHost } from './addresses.js';
import type { DaemonConfig } from './config.js';
import { loadMember, type Member, saveMember } from './member-file.js';
import type { NodePorts } from './node-ports.js';

/** How {@link presentMember} sees the host: seams for tests. */
export interface HostAddresses {
  interfaceOf(host: string): string | undefined;
  addressLike(name: string, like: string): string | undefined;
  guess(): string;
}

const THIS_HOST: HostAddresses = { interfaceOf, addressLike, guess: guessAdvertiseHost };

/**
 * What was kept of this node's membership, with the addresses that the host has now; the same object when nothing has
 * changed. An address that one of the host's interfaces has stays. One that an interface had, and has no more, gives way:
 * to `--advertise-addr`, to the interface's present address, to the host's only address, in this order. One that the host
 * never had itself (behind a NAT) gives way to `--advertise-addr` only.
 */
export function presentMember(
  config: Pick<DaemonConfig, 'advertiseAddr'>,
  kept: Member,
  host: HostAddresses = THIS_HOST,
): Member {
  const before = parseAddress(kept.advertiseAddr, 'AdvertiseAddr');
  const has = host.interfaceOf(before.host);
  if (has !== undefined) return kept.interface === has ? kept : { ...kept, interface: has };
  const after =
    config.advertiseAddr ?? (kept.interface && (host.addressLike(kept.interface, before.host) ?? only(host)));
  if (after === undefined || after === '' || after === before.host) return kept;
  const advertiseAddr = formatAddress({ ...before, host: after });
  const listen = parseAddress(kept.listenAddr, 'ListenAddr');
  const { interface: _, ...rest } = kept;
  const now = host.interfaceOf(after);
  return {
    ...rest,
    ...(now === undefined ? {} : { interface: now }),
    advertiseAddr,
    listenAddr: listen.host === before.host ? formatAddress({ ...listen, host: after }) : kept.listenAddr,
    managers: kept.managers.map((addr) => (addr === kept.advertiseAddr ? advertiseAddr : addr)),
  };
}

/**
 * The addresses of a node that enters a cluster as `request` says, or else as the configuration does. Errors as
 * {@link parseAddress} and {@link guessAdvertiseHost} have them.
 */
export function resolveAddresses(
  config: DaemonConfig,
  request: Pick<InitRequest, 'ListenAddr' | 'AdvertiseAddr' | 'DataPathAddr'>,
): Member {
  const listen = parseAddress(request.ListenAddr || config.listenAddr, 'ListenAddr');
  const wanted = request.AdvertiseAddr || config.advertiseAddr;
  const unspecified = listen.host === '0.0.0.0' || listen.host === '::';
  const advertise = wanted
    ? parseAddress(wanted, 'AdvertiseAddr', listen.port)
    : { host: unspecified ? guessAdvertiseHost() : listen.host, port: listen.port };
  const advertiseAddr = formatAddress(advertise);
  const name = interfaceOf(advertise.host);
  const dataPath = request.DataPathAddr || undefined;
  if (dataPath !== undefined) parseHost(dataPath, 'DataPathAddr');
  return {
    listenAddr: formatAddress(listen),
    ...(name === undefined ? {} : { interface: name }),
    ...(dataPath === undefined ? {} : { dataPathAddr: dataPath }),
    ...{ advertiseAddr, managers: [advertiseAddr] },
  };
}

/**
 * IP that peers send this node's overlay packets to: the named one, or that which the named interface has now, else the
 * advertised one.
 */
export function dataPathAddress({ dataPathAddr, advertiseAddr }: Member): string {
  const advertised = parseAddress(advertiseAddr, 'AdvertiseAddr').host;
  if (dataPathAddr === undefined) return advertised;
  try {
    return parseHost(dataPathAddr, 'DataPathAddr');
  } catch {
    // The interface is not there now.
    return advertised;
  }
}

/** What was kept of this node's membership, with the addresses that this host has now, which are kept in turn. */
export async function loadPresentMember({
  config,
  ports,
}: {
  config: DaemonConfig;
  ports: Pick<NodePorts, 'logger'>;
}): Promise<Member | undefined> {
  const kept = await loadMember(config.dataDir);
  if (kept === undefined || kept.unfinished !== undefined) return kept;
  const present = presentMember(config, kept);
  if (present === kept) return kept;
  await saveMember(config.dataDir, present);
  if (present.advertiseAddr !== kept.advertiseAddr) {
    const addresses = { from: kept.advertiseAddr, to: present.advertiseAddr };
    ports.logger.warn(addresses, 'this host has another address: the node is the same, and says so to the others');
  }
  return present;
}

/** The host's only address; `undefined` when it has several, or none but its own loopback. */
function only(host: HostAddresses): string | undefined {
  try {
    const guessed = host.guess();
    return guessed === '127.0.0.1' ? undefined : guessed;
  } catch {
    return undefined;
  }
}
