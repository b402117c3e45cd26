import { isIP } from 'node:net';

/** Accepts `host:ip` (the address may be IPv6, in brackets or not); throws an Error in the docker CLI's words otherwise. */
export function checkHost(value: string): string {
  const separator = value.search(/[:=]/);
  if (separator <= 0) throw new Error(`bad format for add-host: ${JSON.stringify(value)}`);
  const host = value.slice(0, separator);
  const address = value.slice(separator + 1).replace(/^\[(.*)\]$/, '$1');
  if (address !== 'host-gateway' && isIP(address) === 0) {
    throw new Error(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  }
  return `${host}:${address}`;
}

/**
 * Entries of a hosts file (`IP name [alias…]`) without the names removed (`name`, or `name:ip` for that address alone),
 * then those added.
 */
export function changeHosts(
  entries: readonly string[],
  { added, removed }: { added: readonly string[]; removed: readonly string[] },
): string[] {
  const gone = removed.map(splitHost);
  const kept = entries.flatMap((entry) => {
    const [ip, ...names] = entry.split(/\s+/).filter((word) => word !== '');
    const left = names.filter(
      (name) => !gone.some(([host, address]) => host === name && (address === '' || address === ip)),
    );
    return left.length === 0 ? [] : [`${ip} ${left.join(' ')}`];
  });
  return [...new Set([...kept, ...added.map((host) => splitHost(host).toReversed().join(' '))])];
}

function splitHost(text: string): [host: string, address: string] {
  const at = text.indexOf(':');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
