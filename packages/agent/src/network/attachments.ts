import type { ForeignAttachment, LocalEndpoint } from '@swarmd/model';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import { type EngineClient, READ_TIMEOUT_MS, within } from '../engine/client.js';
import { engineError } from '../engine/errors.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../labels.js';

/** Managers take no more names of one container. */
const MAX_NAMES = 64;

/** What an {@link AttachmentReporter} needs. */
export interface AttachmentReporterDeps {
  clusterId: string;
  /** The engine's client; `undefined` while it does not answer. */
  client(): EngineClient | undefined;
  logger: Logger;
}

/**
 * Reports the containers besides tasks that are on the cluster's networks here: which there are swarmd-net says, what
 * they are called the engine.
 */
export class AttachmentReporter {
  readonly #deps: AttachmentReporterDeps;
  #endpoints: readonly LocalEndpoint[] | undefined;
  /** There may be something new to see. */
  #stale = false;
  #found: readonly ForeignAttachment[] | undefined;
  #looking = false;
  #send: ((attachments: readonly ForeignAttachment[]) => void) | undefined;
  #sent = '';

  constructor(deps: AttachmentReporterDeps) {
    this.#deps = deps;
  }

  /** A session has begun: it is told all, and what changes. */
  begin(send: (attachments: readonly ForeignAttachment[]) => void): void {
    this.#send = send;
    this.#sent = '';
    this.#report();
  }

  end(): void {
    this.#send = undefined;
  }

  /** The containers on networks here, as swarmd-net has them. */
  endpoints(all: readonly LocalEndpoint[]): void {
    this.#endpoints = all.filter(({ taskId }) => taskId === '');
    this.lookAgain();
  }

  /** The engine may say something else of the containers now: it knows an endpoint only some time after swarmd-net. */
  lookAgain(): void {
    this.#stale = true;
    if (this.#looking) return;
    this.#looking = true;
    this.#look()
      .catch((thrown: unknown) => {
        // The engine comes up anew, or swarmd-net says something new: then there is another look.
        this.#deps.logger.debug({ reason: engineError(thrown).message }, 'containers could not be looked at');
      })
      .finally(() => {
        this.#looking = false;
      });
  }

  async #look(): Promise<void> {
    while (this.#stale) {
      this.#stale = false;
      const endpoints = this.#endpoints;
      const client = this.#deps.client();
      if (endpoints === undefined || (client === undefined && endpoints.length > 0)) return;
      this.#found = client === undefined ? [] : await lookAt(client, this.#deps.clusterId, endpoints);
      this.#report();
    }
  }

  #report(): void {
    if (this.#send === undefined || this.#found === undefined) return;
    const json = JSON.stringify(this.#found);
    if (json === this.#sent) return;
    this.#sent = json;
    this.#send(this.#found);
  }
}

/** The attachments that the endpoints are of, in the order of their containers. Throws what dockerode throws. */
async function lookAt(
  { docker }: EngineClient,
  clusterId: string,
  endpoints: readonly LocalEndpoint[],
): Promise<ForeignAttachment[]> {
  if (endpoints.length === 0) return [];
  const byId = new Map(endpoints.map((endpoint) => [endpoint.endpointId, endpoint]));
  const filters = { label: [`${CLUSTER_LABEL}=${clusterId}`, NETWORK_LABEL] };
  const networks = await docker.listNetworks({ filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
  const wanted = new Set(endpoints.map(({ networkId }) => networkId));
  const containers = new Set<string>();
  for (const { Id, Labels } of networks) {
    if (!wanted.has(Labels?.[NETWORK_LABEL] ?? '')) continue;
    const inspect = docker.getNetwork(Id).inspect as (options: object) => Promise<Docker.NetworkInspectInfo>;
    const { Containers } = await inspect.call(docker.getNetwork(Id), { abortSignal: within(READ_TIMEOUT_MS) });
    for (const [id, { EndpointID }] of Object.entries(Containers ?? {})) if (byId.has(EndpointID)) containers.add(id);
  }
  const found: ForeignAttachment[] = [];
  for (const id of [...containers].sort()) {
    const info = await inspectContainer(docker, id);
    for (const endpoint of Object.values(info?.NetworkSettings.Networks ?? {})) {
      const local = byId.get(endpoint.EndpointID);
      if (info === undefined || local === undefined || local.addresses.length === 0) continue;
      const { networkId, addresses } = local;
      found.push({ NetworkID: networkId, ContainerID: id, Addresses: [...addresses], Names: namesOf(info, endpoint) });
    }
  }
  return found;
}

/** A container by ID; `undefined` when it has gone meanwhile. */
async function inspectContainer(docker: Docker, id: string): Promise<Docker.ContainerInspectInfo | undefined> {
  try {
    const options = { abortSignal: within(READ_TIMEOUT_MS) } as object;
    return (await docker.getContainer(id).inspect(options)) as Docker.ContainerInspectInfo;
  } catch (thrown) {
    const error = engineError(thrown);
    if (error.code === 'not-found') return undefined;
    throw error;
  }
}

/** All that a container is found by on a network: name, hostname, aliases. */
function namesOf({ Name, Config }: Docker.ContainerInspectInfo, endpoint: Docker.EndpointSettings): string[] {
  // Not among the types yet; from Docker 25 on.
  const { DNSNames } = endpoint as { DNSNames?: string[] | null };
  const names = [Name.replace(/^\//, ''), Config.Hostname, ...(endpoint.Aliases ?? []), ...(DNSNames ?? [])];
  return [...new Set(names.filter((name) => name !== ''))].slice(0, MAX_NAMES);
}
