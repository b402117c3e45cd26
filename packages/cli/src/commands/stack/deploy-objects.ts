import type { Stack } from '@swarmd/compose';
import type { ConfigSpec, SecretSpec } from '@swarmd/model';
import type { ApiData, ApiNetwork } from '../../client/api-types.js';
import { type Client, objectPath, type Query } from '../../client/client.js';
import { ApiError, isNotFound } from '../../client/errors.js';
import { listNetworks, ofStack } from '../../client/resources.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/** Networks that every engine has: they are neither looked up nor created. */
const PREDEFINED = new Set(['bridge', 'host', 'none', 'default']);

async function find<T>(client: Client, collection: string, name: string, query: Query = {}): Promise<T | undefined> {
  try {
    return await client.get<T>(objectPath(collection, name), { query });
  } catch (thrown) {
    if (isNotFound(thrown)) return undefined;
    throw thrown;
  }
}

/** What the stack's secrets and configs are now, by name; absent ones are to be created. */
export interface ExistingObjects {
  readonly secrets: ReadonlyMap<string, ApiData>;
  readonly configs: ReadonlyMap<string, ApiData>;
}

/**
 * Looks at all that the stack refers to, so that a deploy that cannot succeed changes nothing. Throws CommandError for
 * external objects that do not exist and for configs whose content is not what it was.
 */
export async function checkObjects({ client }: CommandContext, stack: Stack): Promise<ExistingObjects> {
  for (const name of stack.externalNetworks) await checkExternalNetwork(client, name);
  const existing = { secrets: new Map<string, ApiData>(), configs: new Map<string, ApiData>() };
  for (const kind of ['secret', 'config'] as const) {
    for (const { spec, external } of stack[`${kind}s`]) {
      const found = await find<ApiData>(client, `${kind}s`, spec.Name);
      if (found === undefined) {
        if (!external) continue;
        throw new CommandError(`${kind} not found: ${spec.Name} is declared as external; create it first`);
      }
      // A config's content can be compared here; a secret's only the manager knows.
      const { Data } = found.Spec;
      if (!external && Data !== undefined && spec.Data !== undefined && Data !== spec.Data) {
        throw changedContent(kind, spec.Name);
      }
      existing[`${kind}s`].set(spec.Name, found);
    }
  }
  return existing;
}

async function checkExternalNetwork(client: Client, name: string): Promise<void> {
  if (PREDEFINED.has(name)) return;
  const network = await find<ApiNetwork>(client, 'networks', name, { scope: 'swarm' });
  if (network !== undefined) return;
  throw new CommandError(
    `network ${JSON.stringify(name)} is declared as external, but could not be found. You need to create a swarm-scoped network before the stack is deployed`,
  );
}

/** Creates the networks of the stack that do not exist. */
export async function createMissingNetworks({ client, out }: CommandContext, stack: Stack): Promise<void> {
  const existing = new Set((await listNetworks(client, ofStack(stack.namespace))).map(({ Name }) => Name));
  for (const spec of stack.networks) {
    if (existing.has(spec.Name)) continue;
    out.write(`Creating network ${spec.Name}\n`);
    // Whatever its driver: services of all nodes refer to it.
    await failingAs(`failed to create network ${spec.Name}`, () =>
      client.post('/networks/create', { body: { Scope: 'swarm', ...spec } }),
    );
  }
}

/** Creates the stack's secrets or configs, or updates their labels; the IDs of all, external ones too, by name. */
export async function putObjects(
  context: CommandContext,
  kind: 'secret' | 'config',
  objects: Stack['secrets'] | Stack['configs'],
  existing: ReadonlyMap<string, ApiData>,
): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const { spec, external } of objects) {
    const found = existing.get(spec.Name);
    if (found === undefined) ids.set(spec.Name, await createObject(context, kind, spec));
    else {
      if (!external) await updateObject(context, kind, spec, found);
      ids.set(spec.Name, found.ID);
    }
  }
  return ids;
}

async function createObject(
  { client, out }: CommandContext,
  kind: 'secret' | 'config',
  spec: SecretSpec | ConfigSpec,
): Promise<string> {
  out.write(`Creating ${kind} ${spec.Name}\n`);
  const { ID } = await failingAs(`failed to create ${kind} ${spec.Name}`, () =>
    client.post<{ ID: string }>(`/${kind}s/create`, { body: spec }),
  );
  return ID;
}

async function updateObject(
  { client }: CommandContext,
  kind: 'secret' | 'config',
  spec: SecretSpec | ConfigSpec,
  existing: ApiData,
): Promise<void> {
  try {
    const path = objectPath(`${kind}s`, existing.ID, 'update');
    await client.post(path, { query: { version: existing.Version.Index }, body: spec });
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 400) throw changedContent(kind, spec.Name, thrown);
    throw thrown;
  }
}

function changedContent(kind: string, name: string, cause?: ApiError): CommandError {
  const words =
    `failed to update ${kind} ${name}: its content or driver is not what it was, and a ${kind} cannot be changed once it exists. ` +
    `Give it another name in the Compose file (name: ${name}_2); services move to it with this deploy.`;
  return new CommandError(cause === undefined ? words : `${words}\n${cause.message}`);
}

/** Runs `act`; an error from the daemon gets `words` in front. */
export async function failingAs<T>(words: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    if (thrown instanceof ApiError) throw new CommandError(`${words}: ${thrown.message}`);
    throw thrown;
  }
}
