import type { AgentOptions } from './agent.js';
import { assembleAgent } from './assemble.js';
import { containerName } from './convert/names.js';
import { createImages } from './engine/images.js';
import { createPayloadStore } from './engine/payload-store.js';
import { createTaskEngine } from './engine/task-engine.js';
import type { EngineWatchHandlers } from './engine/watch.js';
import { createHost, type Host } from './host.js';
import { publishLogs } from './logs/publish.js';
import { createLogSource } from './logs/source.js';
import { networkInquiries } from './network/audits.js';
import { createNodeNetworking, type NodeNetworking } from './network/node-networking.js';
import { createOverlayNetworks } from './network/overlay-networks.js';
import type { SessionClient } from './session/client.js';
import type { AgentState } from './worker/state.js';
import type { Worker } from './worker/worker.js';

/** The agent's parts, wired and not yet running. */
export interface AgentParts {
  worker: Worker;
  host: Host;
  sessions: SessionClient;
  networking: NodeNetworking;
  engineHandlers: EngineWatchHandlers;
}

/** Wires an agent. They know each other through functions: the engine's client, say, changes with every restart of it. */
export function buildParts(options: AgentOptions, state: AgentState, backWithinMs: () => number): AgentParts {
  const { clock, random, logger, nodeId, clusterId } = options;
  const child = (component: string) => logger.child({ component });
  const engineClient = () => (worker.engineUp ? worker.client() : undefined);
  const { nodeNetworks, dataPathAddr } = options;
  const networking = createNodeNetworking({
    ...{ nodeNetworks, nodeId, clusterId, dataPathAddr, state, clock },
    ...{ client: engineClient, logger: child('networks') },
  });
  const networks = createOverlayNetworks({ clusterId, link: networking.link, clock, logger: child('networks') });
  const payloadStore = createPayloadStore(options.runDir, { ownerOffset: () => host.userOffset() });
  const engine = createTaskEngine({
    client: () => worker.client(),
    node: () => host.facts(worker.client().apiVersion),
    payloads: { secret: (id) => worker.secret(id), config: (id) => worker.config(id) },
    network: (idOrName) => worker.network(idOrName),
    defaultLogDriver: () => sessions.taskLogDriver,
    images: createImages({ clock, logger: child('images') }),
    networks,
    payloadStore,
  });
  const { worker, sessions } = assembleAgent({
    ...{ engine, networks, payloadStore, state, backWithinMs, clock, random, logger },
    sessionNetworks: networking.sessions,
    containerName: (assignment) => containerName(assignment, nodeId),
    connect: options.connect,
    managers: options.managers,
    description: (signal) => host.description(signal),
    trustRoot: () => options.trustRoot?.() ?? '',
    onWelcome: (welcome) => options.onWelcome?.(welcome),
    onCluster: (update) => options.onCluster?.(update),
    onSessionEnd: (reason) => options.onSessionEnd?.(reason),
    publishLogs: (dispatcher, subscription, signal) =>
      publishLogs({ dispatcher, source, logger: child('logs') }, subscription, signal),
    inquiries: {
      ...(options.networkAudits === undefined ? {} : networkInquiries(options.networkAudits, clock)),
      ...options.inquiries,
    },
    swarmdVersion: options.swarmdVersion,
    advertiseAddr: options.advertiseAddr,
  });
  const host = createHost({
    nodeId,
    clusterId,
    state,
    client: engineClient,
    onDescription: (description) => sessions.describe(description),
    clock,
    logger: child('host'),
  });
  const source = createLogSource(worker);
  const engineHandlers: EngineWatchHandlers = {
    onUp: (client, containers) => {
      host.engineUp(client);
      worker.onUp(client, containers);
      networking.engineUp(client);
    },
    onContainer: (containerId, taskId, exists) => worker.onContainer(containerId, taskId, exists),
    onDown: () => {
      networking.engineDown();
      worker.onDown();
    },
  };
  return { worker, host, sessions, networking, engineHandlers };
}
