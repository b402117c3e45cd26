import { type Store, SwarmdError } from '@swarmd/model';
import { callUnary, clientArguments, NodeInquiryClient, type NodeInquiryServer, unaryHandler } from '@swarmd/wire';
import { jsonBytes, parseJson } from '../cluster/grpc-transport.js';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import { type NodeInquiries, type NodeQuestion, notConnected } from './node-inquiries.js';

/** Nodes that one manager asks at once; the others wait in order. */
const MAX_AT_ONCE = 50;
/** Questions that may wait for that. */
const MAX_WAITING = 20_000;
/** What another manager's answer may take beyond the time that the node has. */
const RELAY_MS = 1_000;
/** How long a node has to answer, unless it is said. */
const ANSWER_MS = 10_000;
/** The longest that a node may have. */
const MAX_ANSWER_MS = 60_000;

/** How a node is asked. */
export interface AskOptions {
  signal: AbortSignal;
  /** How long the node has to answer, from when it is its turn; 10 s unless said, 60 s at most. */
  timeoutMs?: number;
  /** Called when it is the node's turn. */
  onTurn?(): void;
}

/**
 * Asks a node what kinds of questions its agent knows, whichever manager it is connected to, and resolves with its answer.
 * Many may be asked: fifty are at once. Rejects as the node did; with `unavailable` when it is not connected anywhere or
 * its manager cannot be reached, `deadline-exceeded` when it does not answer in time, `unimplemented` when it does not know
 * the kind, or with the signal's reason.
 */
export type AskNode = (nodeId: string, kind: string, question: unknown, options: AskOptions) => Promise<unknown>;

/** What {@link createAskNode} needs. */
export interface AskNodeDependencies {
  store: Pick<Store, 'view'>;
  managerId: string;
  inquiries: NodeInquiries;
  peers?: ManagerPeers;
  /** Fires when this manager stops: nobody is asked any more. */
  stopping: AbortSignal;
}

/** An {@link AskNode} over the sessions here and the channels to the other managers. */
export function createAskNode(deps: AskNodeDependencies): AskNode {
  const { store, managerId, inquiries, peers } = deps;
  const places = createPlaces();
  const elsewhere = async ({ nodeId, kind, question, timeoutMs }: NodeQuestion, signal: AbortSignal) => {
    const holder = store.view.get('node', nodeId)?.Session?.Manager;
    const channel = holder === undefined || holder === managerId ? undefined : peers?.channel(holder);
    if (channel === undefined) throw notConnected(nodeId);
    // The client is not closed: that would close the channel, which others use.
    const client = new NodeInquiryClient(...clientArguments(channel));
    const request = { nodeId, kind, question: Buffer.from(question), timeoutMs };
    const options = { timeoutMs: timeoutMs + RELAY_MS, signal };
    return (await callUnary(client.askNode.bind(client), request, options)).answer;
  };
  return async (nodeId, kind, question, { signal, timeoutMs = ANSWER_MS, onTurn }) => {
    const either = AbortSignal.any([signal, deps.stopping]);
    await places.take(either);
    try {
      onTurn?.();
      const bounded = Math.min(MAX_ANSWER_MS, Math.round(timeoutMs));
      const asked = { nodeId, kind, question: jsonBytes(question), timeoutMs: bounded };
      return parseJson(await (inquiries.has(nodeId) ? inquiries.ask(asked, either) : elsewhere(asked, either)));
    } finally {
      places.give();
    }
  };
}

/** The service by which other managers ask the nodes that are connected to this one. */
export function createNodeInquiryService(inquiries: NodeInquiries): NodeInquiryServer {
  return {
    askNode: unaryHandler(async (request, { signal }) => {
      const timeoutMs = Math.min(MAX_ANSWER_MS, request.timeoutMs);
      return { answer: Buffer.from(await inquiries.ask({ ...request, timeoutMs }, signal)) };
    }),
  };
}

function createPlaces(): { take(signal: AbortSignal): Promise<void>; give(): void } {
  let free = MAX_AT_ONCE;
  const waiting = new Set<() => void>();
  return {
    take: (signal) => {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (free > 0) {
        free -= 1;
        return Promise.resolve();
      }
      if (waiting.size >= MAX_WAITING)
        return Promise.reject(new SwarmdError('unavailable', 'too many nodes are to be asked at once'));
      return new Promise((resolve, reject) => {
        const go = (): void => {
          waiting.delete(go);
          signal.removeEventListener('abort', abort);
          resolve();
        };
        const abort = (): void => {
          waiting.delete(go);
          reject(signal.reason);
        };
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(go);
      });
    },
    give: () => {
      const [next] = waiting;
      if (next === undefined) free += 1;
      else next();
    },
  };
}
