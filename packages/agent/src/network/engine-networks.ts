import type Docker from 'dockerode';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from '../engine/client.js';
import { engineError } from '../engine/errors.js';

/** An engine's networks that match `filters`; those of `name` contain it. Rejects with {@link engineError}. */
export async function listNetworks(
  client: EngineClient,
  filters: Record<string, string[]>,
): Promise<Docker.NetworkInspectInfo[]> {
  try {
    return await client.docker.listNetworks({ filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
  } catch (thrown) {
    throw engineError(thrown);
  }
}

/** Takes all containers off a network of an engine, if it is there. Rejects with {@link engineError}. */
export async function disconnectAll({ docker }: EngineClient, engineId: string): Promise<void> {
  try {
    const network = docker.getNetwork(engineId);
    const inspect = network.inspect.bind(network) as (options: object) => Promise<Docker.NetworkInspectInfo>;
    const { Containers } = await inspect({ abortSignal: within(READ_TIMEOUT_MS) });
    for (const Container of Object.keys(Containers ?? {})) {
      await network.disconnect({ Container, Force: true, abortSignal: within(WRITE_TIMEOUT_MS) });
    }
  } catch (thrown) {
    const error = engineError(thrown);
    if (error.code !== 'not-found') throw error;
  }
}

/** Why a network cannot be made where the engine has another one of its name, and what is to be done there. */
export function clashMessage({ Name, Scope }: Docker.NetworkInspectInfo): string {
  return Scope === 'swarm'
    ? `this node's engine has a network ${Name} of the Docker Swarm that it is still in: drain the node there and run \`docker swarm leave\` on it`
    : `this node's engine has a network ${Name} that is not the cluster's: run \`docker network rm ${Name}\` on it, or choose another name`;
}
