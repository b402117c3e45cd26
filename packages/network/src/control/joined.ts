import type { Logger } from 'pino';
import type { Mesh } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';
import type { Retries } from './retries.js';

const ATTEMPTS = 40;
const PAUSE_MS = 250;
const AGAIN_MS = 1000;

/**
 * Tells the mesh of a container once its interface on the ingress network is inside: the engine moves it there some time
 * after it has been told of it. `container` has joined any network; those that are not on the ingress network are fine.
 */
export function tellMesh(
  deps: { state: NodeState; mesh: Mesh; retries: Retries; logger: Logger },
  container: LocalRecord,
): void {
  const { state } = deps;
  // Another network of the container may be the one that its default route leads to.
  for (const local of state.locals().values()) {
    const same = local.sandbox !== '' && local.sandbox === container.sandbox;
    if (same && state.networks().get(local.networkId)?.ingress) attempt(deps, local, ATTEMPTS);
  }
}

function attempt(deps: Parameters<typeof tellMesh>[0], local: LocalRecord, attempts: number): void {
  const { state, mesh, retries, logger } = deps;
  const { sandbox, endpointId, addresses, macAddress, networkId } = local;
  const ingress = state.networks().get(networkId);
  if (ingress === undefined || state.locals().get(endpointId)?.sandbox !== sandbox) return;
  mesh.joined(sandbox, ingress, { endpointId, addresses, macAddress }).then(
    () => {
      // One interface comes after the other: that of the default route may be the last.
      if (attempts > 1) retries.later(AGAIN_MS, () => attempt(deps, local, 1));
    },
    (error: unknown) => {
      if (attempts > 1) retries.later(PAUSE_MS, () => attempt(deps, local, attempts - 1));
      else logger.warn({ err: error, endpointId, sandbox }, 'a container does not answer on published ports');
    },
  );
}
