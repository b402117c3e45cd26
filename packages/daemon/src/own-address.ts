import { addressLike, formatAddress, guessAdvertiseHost, interfaceOf, parseAddress } from './addresses.js';
import type { DaemonConfig } from './config.js';
import type { Member } from './member-file.js';

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

/** The host's only address; `undefined` when it has several, or none but its own loopback. */
function only(host: HostAddresses): string | undefined {
  try {
    const guessed = host.guess();
    return guessed === '127.0.0.1' ? undefined : guessed;
  } catch {
    return undefined;
  }
}
