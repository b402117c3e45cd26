import { type Clock, ERROR_CODES, idFromBytes, type Random, SwarmdError } from '@swarmd/model';
import type { InquiryAnswer } from '@swarmd/wire';
import type { SessionRegistry } from './registry.js';

/** Questions to one node that may be open. */
const MAX_OPEN_PER_NODE = 16;
/** Questions that may be open at one manager. */
const MAX_OPEN = 1_000;

/** A question to one node. */
export interface NodeQuestion {
  nodeId: string;
  kind: string;
  /** JSON. */
  question: Uint8Array;
  timeoutMs: number;
}

interface Open {
  nodeId: string;
  settle(answer: Uint8Array | SwarmdError): void;
}

/** Asks nodes with a session at this manager, and takes their answers. */
export class NodeInquiries {
  readonly #deps: { registry: SessionRegistry; random: Random; clock: Clock };
  readonly #open = new Map<string, Open>();

  constructor(deps: { registry: SessionRegistry; random: Random; clock: Clock }) {
    this.#deps = deps;
  }

  /** Whether a node has a session here. */
  has(nodeId: string): boolean {
    return this.#deps.registry.get(nodeId)?.begun === true;
  }

  /**
   * The node's answer, as JSON. Rejects as the node did; with `unavailable` when it has no session here, loses it or is
   * asked too much at once, `deadline-exceeded` when it does not answer in time, or with the signal's reason.
   */
  ask({ nodeId, kind, question, timeoutMs }: NodeQuestion, signal: AbortSignal): Promise<Uint8Array> {
    const { registry, random, clock } = this.#deps;
    const session = registry.get(nodeId);
    if (session === undefined || !session.begun) return Promise.reject(notConnected(nodeId));
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#open.size >= MAX_OPEN || this.#openAt(nodeId) >= MAX_OPEN_PER_NODE)
      return Promise.reject(new SwarmdError('unavailable', `too many questions to node ${nodeId} at once`));
    const id = idFromBytes(random.bytes(17));
    return new Promise((resolve, reject) => {
      const settle = (answer: Uint8Array | SwarmdError): void => {
        this.#open.delete(id);
        cancel();
        signal.removeEventListener('abort', abort);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      const abort = (): void => settle(signal.reason);
      const cancel = clock.after(timeoutMs, () => {
        settle(new SwarmdError('deadline-exceeded', `node ${nodeId} did not answer within ${timeoutMs} ms (${kind})`));
      });
      signal.addEventListener('abort', abort, { once: true });
      this.#open.set(id, { nodeId, settle });
      session.stream.send({ $case: 'inquiry', value: { id, kind, question: Buffer.from(question), timeoutMs } });
    });
  }

  /** A node has answered. What nobody waits for any more, or another node was asked, is dropped. */
  answered(nodeId: string, { id, answer, errorCode, error }: InquiryAnswer): void {
    const open = this.#open.get(id);
    if (open === undefined || open.nodeId !== nodeId) return;
    const code = ERROR_CODES.find((known) => known === errorCode);
    if (errorCode === '') open.settle(answer);
    else open.settle(new SwarmdError(code ?? 'internal', error));
  }

  /** A node's session has ended. */
  nodeGone(nodeId: string): void {
    for (const open of [...this.#open.values()]) if (open.nodeId === nodeId) open.settle(notConnected(nodeId));
  }

  #openAt(nodeId: string): number {
    let count = 0;
    for (const open of this.#open.values()) if (open.nodeId === nodeId) count += 1;
    return count;
  }
}

/** The refusal for a node that no manager holds a session of. */
export function notConnected(nodeId: string): SwarmdError {
  return new SwarmdError('unavailable', `node ${nodeId} is not connected to a manager`);
}
