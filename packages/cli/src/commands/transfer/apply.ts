import type { ClusterSpec, NetworkSpec, NodeSpec, SecretSpec, ServiceSpec } from '@swarmd/model';
import type { ApiCluster, ApiNode } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { registryAuthFor } from '../../registry/credentials.js';
import { type Handle, handleKey, type Kind } from '../../transfer/objects.js';
import type { PlanItem, Verdict } from '../../transfer/plan-item.js';
import { type IdLookup, withDataIds } from '../stack/deploy-services.js';

/** How a plan is carried out. */
export interface ApplyOptions {
  /** What exists in the target. */
  readonly handles: ReadonlyMap<string, Handle>;
  /** Sends the credentials of the user's docker configuration with services that are made or changed. */
  readonly withAuth: boolean;
}

type Act = (item: PlanItem) => Promise<string | undefined>;

const DOING: Readonly<Partial<Record<Verdict, string>>> = {
  create: 'Creating',
  update: 'Updating',
  remove: 'Removing',
};

/**
 * Does what the plan says, object by object, and says so. What the daemon refuses is said on stderr and the rest goes
 * on: planning again shows what is left. Resolves with how many were refused.
 */
export async function applyPlan(
  context: CommandContext,
  items: readonly PlanItem[],
  options: ApplyOptions,
): Promise<number> {
  const { out, err, signal } = context;
  const ids = new Map([...options.handles].map(([key, { id }]) => [key, id]));
  const acts = actsFor(context, ids, options);
  let failures = 0;
  for (const item of items) {
    const doing = DOING[item.verdict];
    if (doing === undefined) continue;
    signal.throwIfAborted();
    const what = `${item.kind} ${item.name}`;
    try {
      const id = await (item.verdict === 'remove' ? remove(context, ids, item) : acts[item.kind](item));
      if (id !== undefined) ids.set(handleKey(item.kind, item.name), id);
      out.write(`${doing} ${what}\n`);
    } catch (thrown) {
      if (!(thrown instanceof CommandError) || signal.aborted) throw thrown;
      failures++;
      err.write(`${doing} ${what} failed: ${thrown.message}\n`);
    }
  }
  return failures;
}

/** How each kind is made and changed; those that make something resolve with its ID. */
function actsFor(
  context: CommandContext,
  ids: ReadonlyMap<string, string>,
  { handles, withAuth }: ApplyOptions,
): Record<Kind, Act> {
  const { client } = context;
  const handleOf = ({ kind, name }: PlanItem): Handle => handles.get(handleKey(kind, name))!;
  const data: Act = async (item) => {
    const spec = item.desired as SecretSpec;
    if (item.verdict === 'create')
      return (await client.post<{ ID: string }>(`/${item.kind}s/create`, { body: spec })).ID;
    const { id, version } = handleOf(item);
    await client.post(objectPath(`${item.kind}s`, id, 'update'), { query: { version }, body: spec });
    return undefined;
  };
  return {
    cluster: async (item) => {
      const present = await client.get<ApiCluster>('/swarm');
      const body: ClusterSpec = { ...present.Spec, ...(item.desired as ClusterSpec) };
      await client.post('/swarm/update', { query: { version: present.Version.Index }, body });
      return undefined;
    },
    node: async (item) => {
      const { id } = handleOf(item);
      const present = await client.get<ApiNode>(objectPath('nodes', id));
      const body: NodeSpec = { ...present.Spec, ...(item.desired as NodeSpec) };
      await client.post(objectPath('nodes', id, 'update'), { query: { version: present.Version.Index }, body });
      return undefined;
    },
    network: async (item) => {
      const body = { Scope: 'swarm', CheckDuplicate: true, ...(item.desired as NetworkSpec) };
      return (await client.post<{ Id: string }>('/networks/create', { body })).Id;
    },
    secret: data,
    config: data,
    service: (item) => putService(context, item, { ids, present: handleOf(item), withAuth }),
  };
}

async function putService(
  { client, env, err }: CommandContext,
  item: PlanItem,
  options: { ids: ReadonlyMap<string, string>; present: Handle | undefined; withAuth: boolean },
): Promise<string | undefined> {
  const spec = withIds(item.desired as ServiceSpec, options.ids);
  const image = spec.TaskTemplate?.ContainerSpec?.Image ?? '';
  const auth = options.withAuth ? await registryAuthFor(image, env) : undefined;
  const headers: Record<string, string> = auth === undefined ? {} : { 'X-Registry-Auth': auth };
  const { present } = options;
  const [path, query] =
    present === undefined
      ? ['/services/create', {}]
      : [
          objectPath('services', present.id, 'update'),
          { version: present.version, registryAuthFrom: auth === undefined ? 'spec' : undefined },
        ];
  const answer = await client.post<{ ID?: string; Warnings?: string[] | null } | undefined>(path, {
    query,
    headers,
    body: spec,
  });
  for (const warning of answer?.Warnings ?? []) err.write(`service ${item.name}: ${warning}\n`);
  return answer?.ID;
}

/** The spec with IDs of this cluster in the place of names. */
function withIds(spec: ServiceSpec, ids: ReadonlyMap<string, string>): ServiceSpec {
  const idsOf = (kind: Kind): IdLookup => ({ get: (name) => ids.get(handleKey(kind, name)) });
  const filled = withDataIds(spec, { secrets: idsOf('secret'), configs: idsOf('config') });
  const task = filled.TaskTemplate ?? {};
  if (task.Networks == null) return filled;
  const Networks = task.Networks.map((use) => ({
    ...use,
    Target: idsOf('network').get(use.Target ?? '') ?? use.Target ?? '',
  }));
  return { ...filled, TaskTemplate: { ...task, Networks } };
}

async function remove(
  { client }: CommandContext,
  ids: ReadonlyMap<string, string>,
  { kind, name }: PlanItem,
): Promise<undefined> {
  await client.delete(objectPath(`${kind}s`, ids.get(handleKey(kind, name))!));
  return undefined;
}
