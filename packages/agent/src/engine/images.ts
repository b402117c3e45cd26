import type { Readable } from 'node:stream';
import { type Clock, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { isImageId, isPinned, withDefaultTag } from '../convert/image-reference.js';
import { type EngineClient, READ_TIMEOUT_MS, within } from './client.js';
import { engineError, isTemporary } from './errors.js';
import { createLimiter } from './limiter.js';
import { readLines } from './lines.js';

/** A pull that says nothing for this long is given up. */
const STALL_MS = 120_000;
/** After a failed pull of an image that is here, it is used as it is for this long without asking again. */
const FAILED_PULL_MEMORY_MS = 60_000;
const PULLS_AT_ONCE = 4;
/** More failed pulls than this are not remembered. */
const MAX_FAILED = 1_000;

/** Gets images onto an engine. */
export interface Images {
  /**
   * Resolves when `image` is on the engine: pulled, or as it is when its registry does not answer. `registryAuth` is an
   * `X-Registry-Auth` header. Throws `not-found` with the registry's words when there is none to use.
   */
  ensure(client: EngineClient, image: string, registryAuth: string, signal: AbortSignal): Promise<void>;
}

interface Pull {
  done: Promise<void>;
  waiting: number;
  giveUp: AbortController;
}

/** An {@link Images}; callers that want the same image at the same time share one pull. */
export function createImages(deps: { clock: Clock; logger: Logger }): Images {
  const { clock, logger } = deps;
  const pulls = new Map<string, Pull>();
  const failed = new Map<string, number>();
  const limiter = createLimiter(PULLS_AT_ONCE);
  const isRecent = (failedAtMs: number | undefined) =>
    failedAtMs !== undefined && clock.monotonic() - failedAtMs < FAILED_PULL_MEMORY_MS;

  const pull = (client: EngineClient, image: string, registryAuth: string, signal: AbortSignal): Promise<void> => {
    const key = keyOf(image, registryAuth);
    let entry = pulls.get(key);
    if (entry === undefined) {
      const giveUp = new AbortController();
      const done = limiter
        .run(() => pullImage(client, image, registryAuth, giveUp.signal), { signal: giveUp.signal })
        .finally(() => pulls.delete(key));
      entry = { done, waiting: 0, giveUp };
      pulls.set(key, entry);
    }
    return joinPull(entry, signal);
  };

  return {
    async ensure(client, name, registryAuth, signal) {
      const image = withDefaultTag(name);
      if (isPinned(image) && (await isHere(client, image, signal))) return;
      if (isImageId(image)) throw new SwarmdError('not-found', `No such image: ${image}`);
      const key = keyOf(image, registryAuth);
      if (isRecent(failed.get(key)) && (await isHere(client, image, signal))) return;
      try {
        await pull(client, image, registryAuth, signal);
        failed.delete(key);
      } catch (thrown) {
        signal.throwIfAborted();
        const error = engineError(thrown);
        if (await isHere(client, image, signal)) {
          // Of callers that shared the pull one says so.
          if (!isRecent(failed.get(key))) {
            logger.warn({ image, reason: error.message }, 'the pull failed: the image is used as it is here');
          }
          if (failed.size >= MAX_FAILED) failed.clear();
          failed.set(key, clock.monotonic());
          return;
        }
        if (error.code === 'unavailable') throw error;
        throw new SwarmdError('not-found', `No such image: ${image} (${error.message})`, { cause: error });
      }
    },
  };
}

/** Pulls are shared, and failures remembered, among callers with the same credentials. */
function keyOf(image: string, registryAuth: string): string {
  return JSON.stringify([image, registryAuth]);
}

/** Waits for a shared pull; the last to lose interest ends it. */
async function joinPull(entry: Pull, signal: AbortSignal): Promise<void> {
  entry.waiting++;
  let leave = () => {};
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    signal.throwIfAborted();
    await Promise.race([entry.done, left]);
  } finally {
    signal.removeEventListener('abort', leave);
    if (--entry.waiting === 0) entry.giveUp.abort();
  }
}

async function isHere(client: EngineClient, image: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.docker.getImage(image).inspect({ abortSignal: within(READ_TIMEOUT_MS, signal) } as object);
    return true;
  } catch (thrown) {
    const error = engineError(thrown);
    if (isTemporary(error)) throw error;
    return false;
  }
}

async function pullImage(
  client: EngineClient,
  image: string,
  registryAuth: string,
  signal: AbortSignal,
): Promise<void> {
  const stalled = new AbortController();
  const stall = () => setTimeout(() => stalled.abort(), STALL_MS).unref();
  let timer = stall();
  try {
    const stream = await client.docker.createImage(registryAuth === '' ? undefined : { base64: registryAuth }, {
      fromImage: image,
      abortSignal: AbortSignal.any([signal, stalled.signal]),
    });
    const progress = stream as Readable;
    for await (const line of readLines(progress)) {
      clearTimeout(timer);
      timer = stall();
      // The status is 200 by the time a pull fails: the stream says so.
      const { error } = JSON.parse(line) as { error?: string };
      if (error !== undefined) throw new SwarmdError('not-found', error);
    }
  } catch (thrown) {
    if (stalled.signal.aborted) throw new SwarmdError('deadline-exceeded', `pulling ${image} made no progress`);
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}
