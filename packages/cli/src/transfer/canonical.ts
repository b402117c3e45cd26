import type { ConfigSpec, NetworkSpec, SecretSpec } from '@swarmd/model';
import type { ApiNetwork } from '../client/api-types.js';

/** Given to each overlay by the cluster that made it: another cluster has numbers of its own. */
const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';

type IpamJson = NetworkSpec['IPAM'];

/** A network as the API lists it; `IPAM` is as in the request that made it, its subnets filled in. */
export interface ListedNetwork extends ApiNetwork {
  Attachable?: boolean;
  Ingress?: boolean;
  Options?: Record<string, string> | null;
  IPAM?: IpamJson;
  ConfigFrom?: { Network?: string } | null;
}

/** The spec of a network as it is listed or was written down: one spelling for each meaning. */
export function networkSpecOf(network: NetworkSpec | ListedNetwork): NetworkSpec {
  const { [VXLAN_IDS]: _, ...options } = network.Options ?? {};
  const ipam = canonicalIpam(network.IPAM);
  return {
    Name: network.Name,
    Driver: network.Driver || 'overlay',
    ...flag('Internal', network.Internal),
    ...flag('Attachable', network.Attachable),
    ...flag('EnableIPv6', network.EnableIPv6),
    ...(ipam === undefined ? {} : { IPAM: ipam }),
    ...(Object.keys(options).length === 0 ? {} : { Options: options }),
    Labels: network.Labels ?? {},
  };
}

function flag(name: 'Internal' | 'Attachable' | 'EnableIPv6', value: boolean | undefined): Partial<NetworkSpec> {
  return value === true ? { [name]: true } : {};
}

function canonicalIpam(ipam: IpamJson): NonNullable<IpamJson> | undefined {
  const { Driver = '', Options, Config } = ipam ?? {};
  const configs = (Config ?? []).map(withoutEmptyMembers).filter((config) => Object.keys(config).length > 0);
  const said = {
    ...(Driver === '' || Driver === 'default' ? {} : { Driver }),
    ...(Options && Object.keys(Options).length > 0 ? { Options } : {}),
    ...(configs.length > 0 ? { Config: configs } : {}),
  };
  return Object.keys(said).length === 0 ? undefined : said;
}

/** A secret's or config's spec: drivers that have no name are none. */
export function dataSpecOf<T extends SecretSpec | ConfigSpec>(spec: T): T {
  const { Labels, Driver, Templating, ...rest } = spec as SecretSpec;
  return {
    ...withoutEmptyMembers(rest),
    Labels: Labels ?? {},
    ...(Driver?.Name ? { Driver } : {}),
    ...(Templating?.Name ? { Templating } : {}),
  } as T;
}

/** `object` without members that are null, '' or an empty list or object. */
function withoutEmptyMembers<T extends object>(object: T): T {
  const said = Object.entries(object).filter(([, value]) => {
    if (value === null || value === undefined || value === '') return false;
    return typeof value !== 'object' || Object.keys(value).length > 0;
  });
  return Object.fromEntries(said) as T;
}
