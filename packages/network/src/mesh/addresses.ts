import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
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

/** The network's first IPv4 subnet; the mesh is IPv4 only. */
export function ipv4Subnet(network: NodeNetwork): { subnet: string; gateway: string } | undefined {
  return network.subnets.find((candidate) => isIPv4(candidate.gateway));
}

function hexBytes(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
