import { join } from 'node:path';
import type { Clock, NetworkAudits, NodeNetworks, Random, SwarmdError } from '@swarmd/model';
import type { ClusterUpdate, DispatcherClient, Welcome } from '@swarmd/wire';
import type { Logger } from 'pino';
import { connectEngine } from './engine/client.js';
import { listContainers, watchEngine } from './engine/watch.js';
import { type AgentParts, buildParts } from './parts.js';
import type { InquiryHandlers } from './session/inquiries.js';
import { type Journal, openJournal } from './worker/journal.js';
import { createAgentState } from './worker/state.js';

/** How long the cluster is asked to wait for a swarmd that stops on purpose, unless `stop` is told. */
const RESTART_GRACE_MS = 60_000;

/** What an agent is made of. */
export interface AgentOptions {
  /** Path of the engine's socket. */
  engineSocket: string;
  /** Folder for the agent's own state; survives reboots. */
  stateDir: string;
  /** Folder for secrets and configs, on a tmpfs or to get one; must have the same path for the engine. */
  runDir: string;
  /** A dispatcher client on a new channel to the manager at `host:port`, with the node's certificate of this moment. */
  connect(addr: string): DispatcherClient;
  /** Managers to try besides those the agent remembers, `host:port`. Asked before each round of attempts. */
  managers(): readonly string[];
  nodeId: string;
  clusterId: string;
  swarmdVersion: string;
  /** Address under which other nodes reach this one. */
  advertiseAddr: string;
  /** The roots that this node trusts at the moment, PEM after PEM: managers wait for a new one to arrive. */
  trustRoot?(): string;
  onWelcome?(welcome: Welcome): void;
  /** News of the cluster: managers, root certificate, this node's object, whether to renew the certificate. */
  onCluster?(update: ClusterUpdate): void;
  /** A session ended or could not be opened. `permission-denied` and `unauthenticated`: this node is not wanted. */
  onSessionEnd?(reason: SwarmdError): void;
  /** What keeps this node's networks: swarmd-net. */
  nodeNetworks: NodeNetworks;
  /** What swarmd-net tells whoever looks for a fault. */
  networkAudits?: NetworkAudits;
  /** IP of this node that its peers send VXLAN packets to. */
  dataPathAddr: string;
  /** What managers may ask this node, besides what every agent answers. */
  inquiries?: InquiryHandlers;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** This node's part in the cluster: runs the tasks that managers assign, on the local engine. */
export interface Agent {
  /** Starts in the background; resolves once the agent's own state is read. */
  start(): Promise<void>;
  /** Stops the agent and leaves containers running; the cluster waits `backWithinMs` for its return. */
  stop(options?: { backWithinMs?: number }): Promise<void>;
  /** Stops for good: removes the cluster's containers and networks from this engine, and what the agent remembers. */
  leave(): Promise<void>;
  /** Opens a new session, for a new certificate. */
  reconnect(): void;
  /** Tells the manager of the roots that are trusted now. */
  trustChanged(): void;
  /** Whether a manager knows this node at the moment. */
  connected(): boolean;
}

/** An {@link Agent}; nothing happens before `start`. */
export function createAgent(options: AgentOptions): Agent {
  const stopped = new AbortController();
  const { clock, logger, nodeId, clusterId, engineSocket } = options;
  let journal: Journal | undefined;
  let parts: AgentParts | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let backWithinMs = RESTART_GRACE_MS;

  const end = async (): Promise<void> => {
    stopped.abort();
    parts?.worker.close();
    await running;
  };

  return {
    async start() {
      journal = await openJournal(join(options.stateDir, 'agent.log'), logger);
      const state = createAgentState(journal, nodeId, clusterId);
      const built = buildParts(options, state, () => backWithinMs);
      parts = built;
      built.worker.restore();
      const { signal } = stopped;
      running = Promise.all([
        watchEngine({ socketPath: engineSocket, clusterId, clock, logger }, built.engineHandlers, signal),
        built.host.run(signal),
        built.networking.run(signal),
        built.sessions.run(signal),
      ]);
      running.catch((err: unknown) => logger.error({ err }, 'the agent failed'));
    },
    async stop(how = {}) {
      backWithinMs = how.backWithinMs ?? RESTART_GRACE_MS;
      await end();
      await journal?.close();
    },
    async leave() {
      backWithinMs = 0;
      await end();
      try {
        const client = await connectEngine(engineSocket);
        parts?.worker.onUp(client, []);
        await parts?.worker.leave(await listContainers(client, clusterId));
      } finally {
        journal?.clear();
        await journal?.close();
      }
    },
    reconnect: () => parts?.sessions.reconnect(),
    trustChanged: () => parts?.sessions.describeAgain(),
    connected: () => parts?.sessions.connected ?? false,
  };
}
