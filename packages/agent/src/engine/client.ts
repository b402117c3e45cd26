import { SwarmdError } from '@swarmd/model';
import Docker from 'dockerode';
import { apiAtLeast } from '../convert/request.js';
import { engineError } from './errors.js';

/** The newest engine API that this agent was written for; a newer engine is spoken to in this one. */
export const NEWEST_API = '1.51';
/** Docker 20.10: the oldest engine that is supported. */
export const OLDEST_API = '1.41';

/** How long the engine has for a call that reads. */
export const READ_TIMEOUT_MS = 20_000;
/** How long it has for one that makes or starts something. */
export const WRITE_TIMEOUT_MS = 120_000;

/** A connection to an engine: dockerode with an API version that both sides speak. */
export interface EngineClient {
  docker: Docker;
  apiVersion: string;
  engineVersion: string;
}

/** A signal that aborts with `signal` or after `timeoutMs`. */
export function within(timeoutMs: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

/**
 * Asks the engine at a socket which API it speaks and picks the newest both know. Throws `unavailable` when none
 * answers and `failed-precondition` when it is too old or too new.
 */
export async function connectEngine(socketPath: string, signal?: AbortSignal): Promise<EngineClient> {
  const plain = new Docker({ socketPath });
  let version: Docker.DockerVersion;
  try {
    // @types/dockerode does not know that it takes options.
    const ask = plain.version.bind(plain) as unknown as (options: object) => Promise<Docker.DockerVersion>;
    version = await ask({ abortSignal: within(READ_TIMEOUT_MS, signal) });
  } catch (thrown) {
    throw engineError(thrown);
  }
  const apiVersion = negotiate(version.ApiVersion, (version as { MinAPIVersion?: string }).MinAPIVersion);
  return { docker: new Docker({ socketPath, version: `v${apiVersion}` }), apiVersion, engineVersion: version.Version };
}

/** The API version to speak with an engine that offers `minimum` to `newest`. */
export function negotiate(newest: string, minimum: string = newest): string {
  if (!apiAtLeast(newest, OLDEST_API)) {
    throw new SwarmdError('failed-precondition', `Docker 20.10 or later is needed: the engine speaks API ${newest}`);
  }
  if (!apiAtLeast(NEWEST_API, minimum)) {
    throw new SwarmdError(
      'failed-precondition',
      `the engine speaks no API older than ${minimum}, swarmd none newer than ${NEWEST_API}`,
    );
  }
  return apiAtLeast(NEWEST_API, newest) ? newest : NEWEST_API;
}
