import { formatAddress, parseAddress } from '../addresses.js';

/** etcd's members meet on the port after the one for nodes. */
export function peerUrl(swarmAddr: string): string {
  const { host, port } = parseAddress(swarmAddr, 'address');
  return `https://${formatAddress({ host, port: port + 1 })}`;
}

/** The IP of a URL made by {@link peerUrl}. */
export function peerIp(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
