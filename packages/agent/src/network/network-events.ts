import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { EngineClient } from '../engine/client.js';
import { readLines } from '../engine/lines.js';

/** Events after which other containers, or the same under other names, may be on a network. */
const FILTERS = { type: ['network', 'container'], event: ['connect', 'disconnect', 'rename'] };

/**
 * Calls `onEvent` whenever a container has come to or gone from a network of an engine, or has another name; containers
 * that start and stop do, too. Resolves when the engine's stream of events ends, or `signal` aborts; rejects when there
 * is none.
 */
export async function watchNetworkEvents(
  { docker }: EngineClient,
  onEvent: () => void,
  signal: AbortSignal,
): Promise<void> {
  const stream = (await docker.getEvents({
    filters: FILTERS,
    abortSignal: signal,
  } as Docker.GetEventsOptions)) as Readable;
  const destroy = () => stream.destroy();
  signal.addEventListener('abort', destroy, { once: true });
  try {
    for await (const _ of readLines(stream)) onEvent();
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    signal.removeEventListener('abort', destroy);
    destroy();
  }
}
