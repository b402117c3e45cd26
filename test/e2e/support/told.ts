import { callEngine } from '@swarmd/testkit';

type Json = Record<string, unknown>;

interface Listed {
  ID?: string;
  Id?: string;
  Name?: string;
  Spec?: Json & { Name?: string };
  Description?: { Hostname?: string };
  [field: string]: unknown;
}

/** What a cluster was told, by kind and name, as its API shows it: with names where it shows IDs, without what is empty. */
export interface Told {
  services: Record<string, Json>;
  networks: Record<string, Json>;
  configs: Record<string, Json>;
  secrets: Record<string, Json>;
  nodes: Record<string, Json>;
  cluster: Json;
}

/**
 * Reads a cluster through an API socket. It knows nothing of how swarmctl reads one, so that tests can compare two
 * clusters by it: each ID of a network, secret, config or node becomes its name, wherever it stands in a spec.
 */
export async function whatWasTold(socket: string): Promise<Told> {
  const get = async <T>(path: string): Promise<T> => JSON.parse(await callEngine(socket, { path })) as T;
  const scope = `filters=${encodeURIComponent('{"scope":["swarm"]}')}`;
  const networks = (await get<Listed[]>(`/networks?${scope}`)).filter(({ Ingress }) => Ingress !== true);
  const [services, secrets, configs, nodes] = await Promise.all(
    ['services', 'secrets', 'configs', 'nodes'].map((kind) => get<Listed[]>(`/${kind}`)),
  );
  const host = await get<Listed>('/networks/host?scope=swarm');
  const ids = new Map<string, string>();
  for (const object of [...networks, host, ...secrets!, ...configs!, ...nodes!]) {
    ids.set(object.ID ?? object.Id ?? '', nameOf(object));
  }
  const withNames = (text: string): string =>
    text.replaceAll(/\b[0-9a-z]{25}\b/g, (word) => (ids.has(word) ? `<${ids.get(word)}>` : word));
  const tidy = (value: unknown): Json => tidied(JSON.parse(withNames(JSON.stringify(value)))) as Json;
  const byName = (list: readonly Listed[], pick: (object: Listed) => unknown): Record<string, Json> =>
    Object.fromEntries(list.map((object) => [nameOf(object), tidy(pick(object))] as const).sort());
  return {
    services: byName(services!, ({ Spec }) => Spec),
    networks: byName(networks, ({ Driver, Labels, Internal, Attachable, EnableIPv6, IPAM, Options }) => ({
      ...{ Driver, Labels, Internal, Attachable, EnableIPv6, IPAM, Options },
    })),
    configs: byName(configs!, ({ Spec }) => Spec),
    secrets: byName(secrets!, ({ Spec }) => Spec),
    nodes: byName(nodes!, ({ Spec }) => ({ ...Spec, Role: undefined })),
    cluster: tidy((await get<Listed>('/swarm')).Spec),
  };
}

function nameOf({ Name, Spec, Description }: Listed): string {
  return Description?.Hostname ?? Spec?.Name ?? Name ?? '';
}

/** `value` without nulls, empty lists and empty objects, which mean as much as nothing. */
function tidied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidied);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value)
    .map(([name, member]) => [name, tidied(member)] as const)
    .filter(([, member]) => member !== null && member !== undefined && !isEmpty(member));
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
