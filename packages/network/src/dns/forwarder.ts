import type { Random } from '@swarmd/model';
import type { Logger } from 'pino';
import { type AskDeps, askServers } from './ask-servers.js';
import type { Upstream } from './upstreams.js';
import type { Query } from './wire.js';

/** Questions that wait for servers at a time, of all networks: each holds up to three sockets. */
export const MAX_QUESTIONS = 512;
/** Of one network, so that one whose containers ask much leaves room for the others. */
export const MAX_QUESTIONS_OF_NETWORK = 128;

/** Sends questions to servers outside, no more at a time than it may. */
export interface Forwarder {
  /** Calls `done` once: with the answer, or nothing when there is none or too many wait; not at all after `stop`. */
  ask(networkId: string, query: Query, servers: readonly Upstream[], done: (answer: Buffer | undefined) => void): void;
  /** Drops the questions of a network. */
  stop(networkId: string): void;
  /** How many wait. */
  size(): number;
}

interface Waiting {
  cancel: () => void;
}

/** A {@link Forwarder} to `port` of the servers. */
export function createForwarder(deps: Omit<AskDeps, 'id'> & { random: Random; logger: Logger }): Forwarder {
  const { random, logger } = deps;
  const waiting = new Map<string, Set<Waiting>>();
  let size = 0;
  let full = false;
  return {
    ask: (networkId, query, servers, done) => {
      const ofNetwork = waiting.get(networkId) ?? new Set();
      const tooMany = size >= MAX_QUESTIONS || ofNetwork.size >= MAX_QUESTIONS_OF_NETWORK;
      if (tooMany && !full) logger.warn({ networkId, size }, 'too many questions wait for servers outside');
      full ||= tooMany;
      if (tooMany || servers.length === 0) {
        done(undefined);
        return;
      }
      waiting.set(networkId, ofNetwork);
      const question: Waiting = { cancel: () => {} };
      ofNetwork.add(question);
      size++;
      const id = Buffer.from(random.bytes(2)).readUInt16BE(0);
      question.cancel = askServers(query, servers, { ...deps, id }, (answer) => {
        if (ofNetwork.delete(question)) size--;
        if (ofNetwork.size === 0 && waiting.get(networkId) === ofNetwork) waiting.delete(networkId);
        if (size === 0) full = false;
        done(answer);
      });
    },
    stop: (networkId) => {
      const ofNetwork = waiting.get(networkId) ?? new Set();
      waiting.delete(networkId);
      size -= ofNetwork.size;
      for (const question of ofNetwork) question.cancel();
      ofNetwork.clear();
    },
    size: () => size,
  };
}
