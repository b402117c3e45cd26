import { randomBytes } from 'node:crypto';
import type { Clock, LocalEndpoint, LocalEndpoints } from '@swarmd/model';
import { pause } from '@swarmd/model';
import type { NodeState } from '../state/node-state.js';

/** What the agent follows: the containers of this node. */
export interface EndpointFeed {
  now(): LocalEndpoints;
  /** Resolves when the revision is another than `after`; with the same one after a while, or when `signal` is aborted. */
  after(revision: string, signal: AbortSignal): Promise<LocalEndpoints>;
}

/** How long an answer is put off at most. */
const POLL_MS = 30_000;

/** Revisions of another process are never the same: it numbers anew under a name of its own. */
export function createEndpointFeed(state: NodeState, clock: Clock): EndpointFeed {
  const run = randomBytes(4).toString('hex');
  let count = 0;
  state.onLocals(() => {
    count += 1;
  });
  const now = (): LocalEndpoints => ({ revision: `${run}.${count}`, endpoints: localEndpoints(state) });
  return {
    now,
    async after(revision, signal) {
      if (revision === `${run}.${count}`) {
        const changed = new AbortController();
        const unlisten = state.onLocals(() => changed.abort());
        await pause(clock, POLL_MS, AbortSignal.any([changed.signal, signal]));
        unlisten();
      }
      return now();
    },
  };
}

/** The containers of this node, as the agent is told of them. */
export function localEndpoints(state: NodeState): LocalEndpoint[] {
  return [...state.locals().values()].map(({ networkId, endpointId, addresses, taskId, sandbox }) => ({
    ...{ networkId, endpointId, addresses, taskId, sandbox },
  }));
}
