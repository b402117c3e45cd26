import type { Readable } from 'node:stream';
import { type Clock, pause } from '@swarmd/model';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import { CLUSTER_LABEL, TASK_ID_LABEL } from '../labels.js';
import { connectEngine, type EngineClient, READ_TIMEOUT_MS, within } from './client.js';
import { engineError } from './errors.js';
import { readLines } from './lines.js';

/** A container of our cluster as the engine lists it. */
export interface ListedContainer {
  id: string;
  taskId: string;
  /** The engine's word: created, running, exited, … */
  state: string;
}

/** What the watch tells. Calls are in order; nothing is told between `onDown` and the next `onUp`. */
export interface EngineWatchHandlers {
  /** The engine answers; these are all containers of our cluster, and every later change is told. */
  onUp(client: EngineClient, containers: readonly ListedContainer[]): void;
  /** Something happened to a container of a task: a hint to inspect it. */
  onContainer(containerId: string, taskId: string, exists: boolean): void;
  /** The engine is gone or hangs. */
  onDown(reason: string): void;
}

/** Events that change what a task's container is. */
const EVENTS = ['create', 'start', 'die', 'destroy', 'health_status'];
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
const PING_PERIOD_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;

/**
 * Follows one engine through one stream of events until `signal` aborts: connects, lists, follows; when the stream ends
 * or a ping goes unanswered, says so and starts again. Resolves when it has stopped.
 */
export async function watchEngine(
  deps: { socketPath: string; clusterId: string; clock: Clock; logger: Logger },
  handlers: EngineWatchHandlers,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = deps;
  let retryMs = RETRY_MIN_MS;
  let lastReason = '';
  while (!signal.aborted) {
    let up = false;
    let reason = 'its events ended';
    try {
      await follow(deps, signal, {
        ...handlers,
        onUp: (client, containers) => {
          up = true;
          retryMs = RETRY_MIN_MS;
          lastReason = '';
          logger.info({ engine: client.engineVersion, api: client.apiVersion }, 'the engine answers');
          handlers.onUp(client, containers);
        },
      });
    } catch (thrown) {
      reason = engineError(thrown).message;
    }
    if (signal.aborted) return;
    if (up || reason !== lastReason) logger.warn({ reason }, 'the engine is not there');
    lastReason = reason;
    handlers.onDown(reason);
    await pause(clock, retryMs, signal);
    retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
  }
}

async function follow(
  deps: { socketPath: string; clusterId: string; clock: Clock },
  signal: AbortSignal,
  handlers: EngineWatchHandlers,
): Promise<void> {
  const client = await connectEngine(deps.socketPath, signal);
  const hung = new AbortController();
  const stop = AbortSignal.any([signal, hung.signal]);
  const label = [`${CLUSTER_LABEL}=${deps.clusterId}`];
  const stream = (await client.docker.getEvents({
    filters: { type: ['container'], event: EVENTS, label },
    // The engine answers before it listens: what happens in between is in its buffer of past events.
    since: Math.floor(deps.clock.now() / 1000) - 1,
    abortSignal: stop,
  } as Docker.GetEventsOptions)) as Readable;
  const destroy = () => stream.destroy();
  stop.addEventListener('abort', destroy, { once: true });
  const stopPinging = ping(client, deps.clock, () => hung.abort());
  try {
    handlers.onUp(client, await listContainers(client, deps.clusterId, stop));
    for await (const line of readLines(stream)) {
      const event = JSON.parse(line) as {
        Action?: string;
        Actor?: { ID?: string; Attributes?: Record<string, string> };
      };
      const { ID, Attributes = {} } = event.Actor ?? {};
      const taskId = Attributes[TASK_ID_LABEL];
      if (ID && taskId && isNamedAfter(taskId, Attributes['name'])) {
        handlers.onContainer(ID, taskId, event.Action !== 'destroy');
      }
    }
  } finally {
    stopPinging();
    stop.removeEventListener('abort', destroy);
    destroy();
  }
}

/** All containers of a cluster's tasks on an engine, running or not. Throws `SwarmdError`s. */
export async function listContainers(
  client: EngineClient,
  clusterId: string,
  signal?: AbortSignal,
): Promise<ListedContainer[]> {
  try {
    const listed = await client.docker.listContainers({
      all: true,
      filters: { label: [`${CLUSTER_LABEL}=${clusterId}`] },
      abortSignal: within(READ_TIMEOUT_MS, signal),
    } as Docker.ContainerListOptions);
    return listed.flatMap(readListed);
  } catch (thrown) {
    throw engineError(thrown);
  }
}

function readListed(info: Docker.ContainerInfo): ListedContainer[] {
  const taskId = info.Labels[TASK_ID_LABEL];
  if (taskId === undefined || !info.Names.some((name) => isNamedAfter(taskId, name))) return [];
  return [{ id: info.Id, taskId, state: info.State }];
}

/**
 * Whether a container has the name that a task's gets. Labels alone do not make it ours: an image committed from one of
 * our containers has them all, and what a user runs from it is not to be removed.
 */
function isNamedAfter(taskId: string, name: string | undefined): boolean {
  return name?.endsWith(`.${taskId}`) ?? false;
}

/** Pings until told to stop; an engine that does not answer in time hangs. */
function ping(client: EngineClient, clock: Clock, onHung: () => void): () => void {
  let cancel = () => {};
  let stopped = false;
  const next = () => {
    cancel = clock.after(PING_PERIOD_MS, () => {
      const ask = client.docker.ping.bind(client.docker) as unknown as (options: object) => Promise<unknown>;
      ask({ abortSignal: within(PING_TIMEOUT_MS) }).then(
        () => {
          if (!stopped) next();
        },
        () => {
          if (!stopped) onHung();
        },
      );
    });
  };
  next();
  return () => {
    stopped = true;
    cancel();
  };
}
