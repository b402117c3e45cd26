import { createHash } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { canonicalAddress } from '../kernel/addresses.js';

/**
 * MAC address of a node's end of the ingress network, from its data path address, so that every node can compute it for
 * every other and none has to be given one. IPv4: `0a:53:` and the four bytes; IPv6: `0e:` and five bytes of its hash.
 * Containers have `02:42:…`.
 */
export function meshMac(dataPathAddress: string): string {
  if (isIPv4(dataPathAddress)) return `0a:53:${hexBytes(dataPathAddress.split('.').map(Number))}`;
  const digest = createHash('sha256').update(canonicalAddress(dataPathAddress)).digest();
  return `0e:${hexBytes([...digest.subarray(0, 5)])}`;
}

/** A version of IP. */
export type Family = 4 | 6;

/** The network's first subnet of a version of IP. */
export function subnetOf(network: NodeNetwork, family: Family): { subnet: string; gateway: string } | undefined {
  return network.subnets.find(({ gateway }) => isIP(gateway) === family);
}

/** `ip` or `ip6`, as nft says. */
export function protocolOf(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

function hexBytes(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
