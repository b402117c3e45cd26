import type { Asker } from '../parts.js';
import { canonicalAddress, type NameTables } from './name-table.js';
import { MAX_SERVERS } from './resolv-conf.js';
import { isInside } from './resolve.js';

/** Where the engine answers in every container. */
export const ENGINE_SERVER = '127.0.0.11';
/** What questions to the engine's server are sent from, in the container's namespace: these alone are not redirected. */
export const ENGINE_ASKER = '127.83.68.78';

/** A server that is asked for what is not known here. */
export interface Upstream {
  address: string;
  /** Namespace to ask from: its path, and the address there; the host's when absent. */
  from?: { namespace: string; address: string };
}

/** Who may be asked, and what is answered when nobody knows. */
export interface Upstreams {
  /** In the order in which they are asked. */
  servers: Upstream[];
  /** Nobody outside may be asked: that there is no answer means that there is no such name. */
  closed: boolean;
}

/**
 * The servers for what `asker` asked. A plain container's names are known to the engine's own server, which also knows
 * whom to ask outside: it comes first, unless the question came from there (`redirected` is false), as it would come back.
 * A server of its own that is on one of the asker's networks is asked from its namespace, so that the answer finds back;
 * all others from the host's, and only for those who may ask outside. `ofHost` are for those without their own.
 */
export function upstreamsOf(
  asker: Asker,
  redirected: boolean,
  ofHost: () => readonly string[],
  tables: NameTables,
): Upstreams {
  const own = ownAddresses(asker, tables);
  const servers = (asker.dns.length > 0 ? asker.dns : ofHost()).flatMap((server): Upstream[] => {
    const address = canonicalAddress(server);
    if (address === undefined || own.has(address)) return [];
    const inside = asker.networkIds.some((id) =>
      tables.network(id)?.subnets.some(({ subnet }) => isInside(subnet, address)),
    );
    if (inside && asker.sandbox !== undefined) {
      const any = address.includes(':') ? '::' : '0.0.0.0';
      return [{ address, from: { namespace: asker.sandbox, address: any } }];
    }
    return asker.outside && !inside ? [{ address }] : [];
  });
  const closed = !asker.outside && servers.length === 0;
  const chosen = servers.slice(0, MAX_SERVERS);
  if (!redirected || !asker.plain || asker.sandbox === undefined) return { servers: chosen, closed };
  const engine = { address: ENGINE_SERVER, from: { namespace: asker.sandbox, address: ENGINE_ASKER } };
  return { servers: [engine, ...chosen], closed };
}

function ownAddresses(asker: Asker, tables: NameTables): Set<string> {
  const subnets = asker.networkIds.flatMap((id) => tables.network(id)?.subnets ?? []);
  return new Set(subnets.flatMap(({ gateway }) => canonicalAddress(gateway) ?? []));
}
