import { asSwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Mesh, NameServer } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';
import type { Retries } from './retries.js';

const ATTEMPTS = 40;
const PAUSE_MS = 250;
const AGAIN_MS = 1000;
/** The namespace of a container that stops is gone by then. */
const LEFT_MS = 200;
/** Pauses until a namespace is there: a program asks for names as soon as it runs, and that is soon after. */
const NAME_PAUSES_MS = [...repeated(300, 5), ...repeated(160, 25), ...repeated(100, PAUSE_MS)];

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

/**
 * Has the questions of a container answered here, by its port on a network other than the ingress network, once its
 * namespace is there; by the engine alone when there is none (any more). `inTurn` runs what belongs to a sandbox one after the other.
 */
export function tellNames(
  deps: {
    state: NodeState;
    names: NameServer;
    retries: Retries;
    logger: Logger;
    inTurn: <T>(key: string, task: () => Promise<T>) => Promise<T>;
  },
  sandbox: string,
  attempt = 0,
): void {
  const { names, retries, logger, inTurn } = deps;
  // A container that stops leaves all its networks, and its namespace is gone soon.
  if (portOf(deps.state, sandbox) === undefined) {
    retries.later(LEFT_MS, () =>
      inTurn(sandbox, () => names.redirect(sandbox, portOf(deps.state, sandbox))).catch(() => {}),
    );
    return;
  }
  inTurn(sandbox, () => names.redirect(sandbox, portOf(deps.state, sandbox))).catch((error: unknown) => {
    if (portOf(deps.state, sandbox) === undefined) return;
    const pauseMs = asSwarmdError(error).code === 'not-found' ? NAME_PAUSES_MS[attempt] : undefined;
    if (pauseMs !== undefined) retries.later(pauseMs, () => tellNames(deps, sandbox, attempt + 1));
    else
      logger.warn({ err: error, sandbox }, 'a container may not find names: it is tried again when all is looked at');
  });
}

function repeated(times: number, pauseMs: number): number[] {
  return Array.from({ length: times }, () => pauseMs);
}

function portOf(state: NodeState, sandbox: string): Parameters<NameServer['redirect']>[1] {
  for (const { sandbox: where, networkId, endpointId, addresses, macAddress } of state.locals().values()) {
    if (where !== sandbox) continue;
    const network = state.networks().get(networkId);
    if (network !== undefined && !network.ingress) return { network, port: { endpointId, addresses, macAddress } };
  }
  return undefined;
}
