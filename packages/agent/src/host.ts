import { type Clock, type NodeDescription, pause } from '@swarmd/model';
import type { Logger } from 'pino';
import type { NodeFacts } from './convert/request.js';
import type { EngineClient } from './engine/client.js';
import { describeNode, engineInfo, userOffset } from './engine/describe.js';
import { engineError } from './engine/errors.js';
import { Changes } from './worker/changes.js';
import type { AgentState } from './worker/state.js';

/** The node's description is asked for again this often (Docker Swarm's 20 s). */
const DESCRIBE_PERIOD_MS = 20_000;

/** What the agent knows of its host, kept up to date. */
export interface Host {
  /** The engine came up: it is asked again. */
  engineUp(client: EngineClient): void;
  /** The description, as soon as there is one: from the engine, or remembered. */
  description(signal: AbortSignal): Promise<NodeDescription>;
  facts(apiVersion: string): NodeFacts;
  /** What the engine adds to user and group IDs of containers. */
  userOffset(): number;
  /** Asks the engine from time to time until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** A {@link Host}; `onDescription` hears of every description, changed or not. */
export function createHost(deps: {
  nodeId: string;
  clusterId: string;
  state: AgentState;
  client(): EngineClient | undefined;
  onDescription(description: NodeDescription): void;
  clock: Clock;
  logger: Logger;
}): Host {
  const { nodeId, clusterId, state, clock, logger } = deps;
  let current = state.description();
  let offset = 0;
  const changes = new Changes();

  const ask = async (client: EngineClient, signal?: AbortSignal): Promise<void> => {
    try {
      const info = await engineInfo(client, signal);
      offset = userOffset(info);
      current = describeNode(info);
      state.setDescription(current);
      deps.onDescription(current);
      changes.tell();
    } catch (thrown) {
      if (signal?.aborted) return;
      logger.warn({ reason: engineError(thrown).message }, 'the engine could not be asked about the host');
    }
  };

  return {
    engineUp: (client) => void ask(client),
    async description(signal) {
      const known = await changes.until(
        () => ({ current }),
        (now) => now.current !== undefined,
        signal,
      );
      if (known?.current === undefined) throw signal.reason;
      return known.current;
    },
    facts: (apiVersion) => ({
      nodeId,
      clusterId,
      hostname: current?.Hostname ?? '',
      os: current?.Platform.OS ?? 'linux',
      architecture: current?.Platform.Architecture ?? '',
      apiVersion,
    }),
    userOffset: () => offset,
    async run(signal) {
      while (!signal.aborted) {
        await pause(clock, DESCRIBE_PERIOD_MS, signal);
        const client = deps.client();
        if (client !== undefined && !signal.aborted) await ask(client, signal);
      }
    },
  };
}
