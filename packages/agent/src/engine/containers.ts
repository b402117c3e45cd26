import { SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import type { ContainerRequest } from '../convert/request.js';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from './client.js';
import { type Inspection, readInspection } from './container-facts.js';
import { engineError } from './errors.js';
import { createLimiter } from './limiter.js';

/** More than four creates or starts at a time gain nothing (measured). */
const STARTS_AT_ONCE = 4;
/** Stops mostly wait for the container. */
const STOPS_AT_ONCE = 32;
const REMOVALS_AT_ONCE = 4;
const INSPECTIONS_AT_ONCE = 8;
/** A stop is given up this long after its container's grace period. */
const STOP_MARGIN_MS = 60_000;

/** The engine's calls for containers: bounded in number and time, failing with `SwarmdError`s in the engine's words. */
export class Containers {
  readonly #client: () => EngineClient;
  readonly #starts = createLimiter(STARTS_AT_ONCE);
  readonly #stops = createLimiter(STOPS_AT_ONCE);
  readonly #removals = createLimiter(REMOVALS_AT_ONCE);
  readonly #inspections = createLimiter(INSPECTIONS_AT_ONCE);

  /** `client` is asked at each call; it throws while no engine answers. */
  constructor(client: () => EngineClient) {
    this.#client = client;
  }

  /**
   * Makes a container and resolves with its ID; `already-exists` when its name is taken. Once begun it is seen through:
   * `signal` only ends the waiting for a turn.
   */
  create(request: Pick<ContainerRequest, 'name' | 'body'>, signal: AbortSignal): Promise<string> {
    const { name, body } = request;
    const make = () =>
      this.#call(async (docker) => {
        const options = { name, ...body, abortSignal: within(WRITE_TIMEOUT_MS) };
        return (await docker.createContainer(options as Docker.ContainerCreateOptions)).id;
      });
    return this.#starts.run(make, { signal });
  }

  /** Connects a container to networks besides the one it was made on. */
  async connect(id: string, connections: ContainerRequest['connect']): Promise<void> {
    for (const { network, endpoint } of connections) {
      const options = { Container: id, EndpointConfig: endpoint, abortSignal: within(WRITE_TIMEOUT_MS) };
      await this.#call((docker) => docker.getNetwork(network).connect(options as Docker.NetworkConnectOptions));
    }
  }

  /** Starts a container; one that was started already is left alone. Starts go before creations. */
  start(id: string): Promise<void> {
    const start = (docker: Docker) => docker.getContainer(id).start({ abortSignal: within(WRITE_TIMEOUT_MS) });
    return this.#starts.run(() => this.#ignoring([304], start), { urgent: true });
  }

  /** Stops a container with the signal and grace period it was made with; `graceMs` only bounds our own patience. */
  stop(id: string, graceMs: number): Promise<void> {
    const stop = (docker: Docker) => docker.getContainer(id).stop({ abortSignal: within(graceMs + STOP_MARGIN_MS) });
    return this.#stops.run(() => this.#ignoring([304, 404], stop));
  }

  /** Removes a container and its anonymous volumes. */
  remove(id: string): Promise<void> {
    const options = { v: true, force: true, abortSignal: within(WRITE_TIMEOUT_MS) } as object;
    return this.#removals.run(() => this.#ignoring([404], async (docker) => docker.getContainer(id).remove(options)));
  }

  /** What the engine says of a container, or `undefined` when there is none by that ID or name. */
  inspect(idOrName: string): Promise<Inspection | undefined> {
    return this.#inspections.run(async () => {
      try {
        const options = { abortSignal: within(READ_TIMEOUT_MS) } as object;
        const info = await this.#call((docker) => docker.getContainer(idOrName).inspect(options));
        return readInspection(info as Docker.ContainerInspectInfo);
      } catch (thrown) {
        if (thrown instanceof SwarmdError && thrown.code === 'not-found') return undefined;
        throw thrown;
      }
    });
  }

  async #call<T>(act: (docker: Docker) => Promise<T>): Promise<T> {
    try {
      return await act(this.#client().docker);
    } catch (thrown) {
      throw engineError(thrown);
    }
  }

  async #ignoring(statuses: readonly number[], act: (docker: Docker) => Promise<unknown>): Promise<void> {
    try {
      await act(this.#client().docker);
    } catch (thrown) {
      const status = (thrown as { statusCode?: number }).statusCode;
      if (status === undefined || !statuses.includes(status)) throw engineError(thrown);
    }
  }
}
