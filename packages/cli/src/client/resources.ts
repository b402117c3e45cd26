import { CommandError } from '../program/errors.js';
import type { ApiCluster, ApiData, ApiInfo, ApiNetwork, ApiNode, ApiService, ApiTask } from './api-types.js';
import { type Client, type Filters, objectPath, type RequestOptions } from './client.js';
import { ApiError } from './errors.js';

/** The label that says which stack something belongs to. */
export const STACK_LABEL = 'com.docker.stack.namespace';

/** Services, with counts of their tasks if `status`. */
export function listServices(
  client: Client,
  filters: Filters,
  options: { status?: boolean } = {},
): Promise<ApiService[]> {
  return client.get('/services', { filters, query: { status: options.status === true ? true : undefined } });
}

/** A service by ID, name or unambiguous prefix of an ID. */
export function getService(client: Client, ref: string, signal?: AbortSignal): Promise<ApiService> {
  return client.get(objectPath('services', ref), signal === undefined ? {} : { signal });
}

/** Tasks of any state. */
export function listTasks(client: Client, filters: Filters, signal?: AbortSignal): Promise<ApiTask[]> {
  return client.get('/tasks', { filters, ...(signal === undefined ? {} : { signal }) });
}

/** Nodes of the cluster. */
export function listNodes(client: Client, filters: Filters = {}, signal?: AbortSignal): Promise<ApiNode[]> {
  return client.get('/nodes', { filters, ...(signal === undefined ? {} : { signal }) });
}

/** A node by ID, name or prefix; `self` is the node that answers. */
export async function getNode(client: Client, ref: string): Promise<ApiNode> {
  return client.get(objectPath('nodes', await nodeReference(client, ref)));
}

/** `ref`, or the answering node's ID for `self`. */
export async function nodeReference(client: Client, ref: string): Promise<string> {
  if (ref !== 'self') return ref;
  const info = await getInfo(client);
  const id = info.Swarm.NodeID ?? '';
  // Not a manager, or no cluster: the daemon says it in its own words.
  return id === '' || info.Swarm.ControlAvailable === false ? client.get<ApiNode[]>('/nodes').then(() => id) : id;
}

/** What the daemon says of itself and the engine. */
export function getInfo(client: Client): Promise<ApiInfo> {
  return client.get('/info');
}

/** The cluster, its tokens included. */
export function getCluster(client: Client): Promise<ApiCluster> {
  return client.get('/swarm');
}

/** The key that unlocks a restarted manager; empty while managers are not locked. */
export async function getUnlockKey(client: Client): Promise<string> {
  try {
    return (await client.get<{ UnlockKey: string }>('/swarm/unlockkey')).UnlockKey;
  } catch (error) {
    if (error instanceof ApiError) throw new CommandError(`could not fetch unlock key: ${error.message}`);
    throw error;
  }
}

/** Secrets or configs. */
export function listData(client: Client, kind: 'secrets' | 'configs', filters: Filters): Promise<ApiData[]> {
  return client.get(`/${kind}`, { filters });
}

/** Networks, those of the engine included. */
export function listNetworks(client: Client, filters: Filters, options: RequestOptions = {}): Promise<ApiNetwork[]> {
  return client.get('/networks', { ...options, filters });
}

/** The filter for what belongs to a stack. */
export function ofStack(namespace: string): Filters {
  return { label: [`${STACK_LABEL}=${namespace}`] };
}
