import { randomBytes } from 'node:crypto';
import type {
  DataPathConfig,
  EndpointChange,
  NetworkEndpoint,
  NetworkService,
  NodeBlocks,
  NodeNetwork,
  PublishedService,
} from '@swarmd/model';
import type { Logger } from 'pino';
import type { NetworkMembers } from '../parts.js';
import { changeDraft, copyOf, emptied, type MutableMembers } from './members.js';
import { openRecordLog, type RecordChange, type RecordLog } from './record-log.js';
import { keyOf, type LocalRecord, partsOf, RECORD_SCHEMAS } from './records.js';

/**
 * All that this node was told and all that its engine asked for: in memory at once, on disk when what a method returns
 * resolves (`unavailable` when the disk refuses; memory keeps the change, and a later write stores it).
 */
export interface NodeState {
  /** Changes when what was told may be lost, so that the agent tells everything again. */
  epoch(): string;
  /** Whether the kernel may hold more than is known here: then nothing is taken from it before all is told anew. */
  readonly doubtful: boolean;
  config(): DataPathConfig | undefined;
  published(): readonly PublishedService[];
  networks(): ReadonlyMap<string, NodeNetwork>;
  /** `undefined` before the first change; another object after each. */
  members(networkId: string): NetworkMembers | undefined;
  /** The engine's network IDs, each with the cluster's. */
  engineNetworks(): ReadonlyMap<string, string>;
  /** By the engine's endpoint ID. */
  locals(): ReadonlyMap<string, LocalRecord>;
  setConfig(config: DataPathConfig): Promise<void>;
  setPublished(services: readonly PublishedService[]): Promise<void>;
  putNetwork(network: NodeNetwork): Promise<void>;
  /** With its members. */
  removeNetwork(networkId: string): Promise<void>;
  /** In order; those of unknown networks are left out. */
  changeMembers(changes: readonly EndpointChange[]): Promise<void>;
  putEngineNetwork(engineNetworkId: string, networkId: string): Promise<void>;
  removeEngineNetwork(engineNetworkId: string): Promise<void>;
  putLocal(local: LocalRecord): Promise<void>;
  removeLocal(endpointId: string): Promise<void>;
  /** Forgets everything; a new epoch begins. */
  clear(): Promise<void>;
  /** Calls `listener` after each change of a local endpoint; the returned function ends that. */
  onLocals(listener: () => void): () => void;
  close(): Promise<void>;
}

/** What the state is read with. */
export interface NodeStateOptions {
  path: string;
  /** ID of the running boot: of another one no container has survived. */
  bootId: string;
  logger: Logger;
}

/** Reads the state; local endpoints of another boot are dropped. A damaged or missing one begins a new epoch. */
export async function openNodeState(options: NodeStateOptions): Promise<NodeState> {
  const log = await openRecordLog(options.path, options.logger);
  const state = new RecordedState(log);
  const unreadable = state.load();
  if (unreadable.length > 0)
    options.logger.warn({ unreadable: unreadable.length }, 'records make no sense and are left out');
  await state.begin(options, unreadable, log.damaged || unreadable.length > 0);
  return state;
}

class RecordedState implements NodeState {
  doubtful = false;
  readonly #log: RecordLog;
  #networks = new Map<string, NodeNetwork>();
  #members = new Map<string, MutableMembers>();
  #engineNetworks = new Map<string, string>();
  #locals = new Map<string, LocalRecord>();
  readonly #listeners = new Set<() => void>();

  constructor(log: RecordLog) {
    this.#log = log;
  }

  /** Fills the maps from the records; returns the keys of those that make no sense. */
  load(): string[] {
    const unreadable: string[] = [];
    for (const [key, value] of this.#log.records) {
      const parts = partsOf(key);
      if (parts === undefined || !RECORD_SCHEMAS[parts.kind].safeParse(value).success) unreadable.push(key);
      else this.#fill(parts.kind, parts.ids, value);
    }
    return unreadable;
  }

  #fill(kind: keyof typeof RECORD_SCHEMAS, [id, second]: [string, string], value: unknown): void {
    if (kind === 'network') this.#networks.set(id, value as NodeNetwork);
    if (kind === 'engine') this.#engineNetworks.set(id, value as string);
    if (kind === 'local') this.#locals.set(id, value as LocalRecord);
    if (kind === 'endpoint') this.#membersOf(id).endpoints.set(second, value as NetworkEndpoint);
    if (kind === 'service') this.#membersOf(id).services.set(second, value as NetworkService);
    if (kind === 'blocks') this.#membersOf(id).blocks.set(second, value as NodeBlocks);
  }

  async begin({ bootId, logger }: NodeStateOptions, unreadable: readonly string[], lossy: boolean): Promise<void> {
    const sameBoot = this.#log.records.get('boot') === bootId;
    this.doubtful = lossy && sameBoot;
    const gone = sameBoot ? [] : [...this.#locals.values()];
    for (const { endpointId } of gone) this.#locals.delete(endpointId);
    if (gone.length > 0)
      logger.info({ endpoints: gone.length }, 'the host has started anew: endpoints of containers are dropped');
    const keys = [...gone.map(({ endpointId }) => keyOf('local', endpointId)), ...unreadable];
    const changes: RecordChange[] = keys.map((key) => [key, undefined]);
    if (lossy || typeof this.#log.records.get('epoch') !== 'string') changes.push(['epoch', newEpoch()]);
    if (!sameBoot) changes.push(['boot', bootId]);
    await this.#log.write(changes);
  }

  epoch(): string {
    return String(this.#log.records.get('epoch'));
  }

  config(): DataPathConfig | undefined {
    const parsed = RECORD_SCHEMAS.config.safeParse(this.#log.records.get('config'));
    return parsed.success ? parsed.data : undefined;
  }

  published(): readonly PublishedService[] {
    const parsed = RECORD_SCHEMAS.published.safeParse(this.#log.records.get('published'));
    return parsed.success ? parsed.data : [];
  }

  networks(): ReadonlyMap<string, NodeNetwork> {
    return this.#networks;
  }

  members(networkId: string): NetworkMembers | undefined {
    return this.#members.get(networkId);
  }

  engineNetworks(): ReadonlyMap<string, string> {
    return this.#engineNetworks;
  }

  locals(): ReadonlyMap<string, LocalRecord> {
    return this.#locals;
  }

  setConfig(config: DataPathConfig): Promise<void> {
    return this.#log.write([['config', config]]);
  }

  setPublished(services: readonly PublishedService[]): Promise<void> {
    return this.#log.write([['published', services]]);
  }

  putNetwork(network: NodeNetwork): Promise<void> {
    this.#networks.set(network.id, network);
    return this.#log.write([[keyOf('network', network.id), network]]);
  }

  removeNetwork(networkId: string): Promise<void> {
    const changes: RecordChange[] = [
      [keyOf('network', networkId), undefined],
      ...emptied(networkId, copyOf(this.#members.get(networkId))),
    ];
    this.#networks.delete(networkId);
    this.#members.delete(networkId);
    return this.#log.write(changes);
  }

  changeMembers(changes: readonly EndpointChange[]): Promise<void> {
    const drafts = new Map<string, MutableMembers>();
    const written = changes.flatMap((change) => {
      const { networkId } = change;
      if (!this.#networks.has(networkId)) return [];
      const draft = drafts.get(networkId) ?? copyOf(this.#members.get(networkId));
      drafts.set(networkId, draft);
      return changeDraft(draft, change);
    });
    for (const [networkId, draft] of drafts) this.#members.set(networkId, draft);
    return this.#log.write(written);
  }

  putEngineNetwork(engineNetworkId: string, networkId: string): Promise<void> {
    this.#engineNetworks.set(engineNetworkId, networkId);
    return this.#log.write([[keyOf('engine', engineNetworkId), networkId]]);
  }

  removeEngineNetwork(engineNetworkId: string): Promise<void> {
    if (!this.#engineNetworks.delete(engineNetworkId)) return Promise.resolve();
    return this.#log.write([[keyOf('engine', engineNetworkId), undefined]]);
  }

  putLocal(local: LocalRecord): Promise<void> {
    this.#locals.set(local.endpointId, local);
    return this.#told([[keyOf('local', local.endpointId), local]]);
  }

  removeLocal(endpointId: string): Promise<void> {
    if (!this.#locals.delete(endpointId)) return Promise.resolve();
    return this.#told([[keyOf('local', endpointId), undefined]]);
  }

  clear(): Promise<void> {
    const boot = this.#log.records.get('boot');
    const changes: RecordChange[] = [...this.#log.records.keys()].map((key) => [key, undefined]);
    for (const map of [this.#networks, this.#members, this.#engineNetworks, this.#locals]) map.clear();
    this.doubtful = false;
    return this.#told([...changes, ['epoch', newEpoch()], ['boot', boot]]);
  }

  onLocals(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #told(changes: readonly RecordChange[]): Promise<void> {
    const written = this.#log.write(changes);
    for (const listener of this.#listeners) listener();
    return written;
  }

  #membersOf(networkId: string): MutableMembers {
    const found = this.#members.get(networkId);
    if (found !== undefined) return found;
    const made: MutableMembers = copyOf(undefined);
    this.#members.set(networkId, made);
    return made;
  }
}

function newEpoch(): string {
  return randomBytes(8).toString('hex');
}
