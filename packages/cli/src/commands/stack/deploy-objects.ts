import type { Stack } from '@swarmd/compose';
import type { ConfigSpec, SecretSpec } from '@swarmd/model';
import type { ApiData, ApiNetwork } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { ApiError, isNotFound } from '../../client/errors.js';
import { listNetworks, ofStack } from '../../client/resources.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/** Networks that every engine has: they are neither looked up nor created. */
const PREDEFINED = new Set(['bridge', 'host', 'none', 'default']);

async function find<T>(client: Client, collection: string, name: string): Promise<T | undefined> {
  try {
    return await client.get<T>(objectPath(collection, name));
  } catch (thrown) {
    if (isNotFound(thrown)) return undefined;
    throw thrown;
  }
}

/** Checks that external networks exist and creates those of the stack that do not. */
export async function createMissingNetworks({ client, out }: CommandContext, stack: Stack): Promise<void> {
  for (const name of stack.externalNetworks) {
    if (PREDEFINED.has(name)) continue;
    const network = await find<ApiNetwork>(client, 'networks', name);
    if (network === undefined) {
      throw new CommandError(
        `network ${JSON.stringify(name)} is declared as external, but could not be found. You need to create a swarm-scoped network before the stack is deployed`,
      );
    }
    if (network.Scope !== 'swarm') {
      throw new CommandError(
        `network ${JSON.stringify(name)} is declared as external, but it is not in the right scope: ${JSON.stringify(network.Scope)} instead of "swarm"`,
      );
    }
  }
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

/** Creates the stack's secrets, or updates their labels; the IDs of all, external ones too, by name. */
export async function putSecrets(context: CommandContext, stack: Stack): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const { spec, external } of stack.secrets) {
    ids.set(spec.Name, await putData(context, 'secret', spec, external));
  }
  return ids;
}

/** As {@link putSecrets}, for configs. */
export async function putConfigs(context: CommandContext, stack: Stack): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const { spec, external } of stack.configs) {
    ids.set(spec.Name, await putData(context, 'config', spec, external));
  }
  return ids;
}

async function putData(
  { client, out }: CommandContext,
  kind: 'secret' | 'config',
  spec: SecretSpec & ConfigSpec,
  external: boolean,
): Promise<string> {
  const collection = `${kind}s`;
  const existing = await find<ApiData>(client, collection, spec.Name);
  if (external) {
    if (existing !== undefined) return existing.ID;
    throw new CommandError(`${kind} not found: ${spec.Name} is declared as external; create it first`);
  }
  if (existing === undefined) {
    out.write(`Creating ${kind} ${spec.Name}\n`);
    const { ID } = await failingAs(`failed to create ${kind} ${spec.Name}`, () =>
      client.post<{ ID: string }>(`/${collection}/create`, { body: spec }),
    );
    return ID;
  }
  // A config's content can be compared here; a secret's only the manager knows.
  if (existing.Spec.Data !== undefined && spec.Data !== undefined && existing.Spec.Data !== spec.Data) {
    throw changedContent(kind, spec.Name);
  }
  try {
    const path = objectPath(collection, existing.ID, 'update');
    await client.post(path, { query: { version: existing.Version.Index }, body: spec });
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 400) throw changedContent(kind, spec.Name, thrown);
    throw thrown;
  }
  return existing.ID;
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
