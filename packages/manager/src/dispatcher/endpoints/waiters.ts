import type { SessionEndpoints } from './session-endpoints.js';

interface Waiter {
  index: number;
  networkIds: ReadonlySet<string>;
  missing: Set<SessionEndpoints>;
  done(): void;
}

/**
 * Who waits until the sessions that hold some networks know of all that happened there. Costs as much as there are such
 * sessions, once per wait and once per acknowledgement.
 */
export class EndpointWaiters {
  readonly #byNetwork = new Map<string, Set<Waiter>>();
  readonly #bySession = new Map<SessionEndpoints, Set<Waiter>>();

  /**
   * Calls `done` once all of `sessions` know all of `networkIds` up to an index, or have ended; at once where they do.
   * Sessions that come to hold one of the networks meanwhile count too. The returned function gives up waiting.
   */
  wait(
    { index, networkIds: asked }: { index: number; networkIds: readonly string[] },
    sessions: Iterable<SessionEndpoints>,
    done: () => void,
  ): () => void {
    const networkIds = new Set(asked);
    const waiter: Waiter = { index, networkIds, missing: new Set(), done };
    for (const networkId of networkIds) entry(this.#byNetwork, networkId).add(waiter);
    for (const session of sessions) this.#check(session, waiter);
    if (waiter.missing.size === 0) this.#finish(waiter);
    return () => this.#remove(waiter);
  }

  /** A session holds a network from now on. */
  held(networkId: string, session: SessionEndpoints): void {
    for (const waiter of this.#byNetwork.get(networkId) ?? []) this.#check(session, waiter);
  }

  /** A session knows more, or has less to do with a network, than before. */
  changed(session: SessionEndpoints): void {
    for (const waiter of this.#bySession.get(session) ?? []) {
      this.#check(session, waiter);
      if (waiter.missing.size === 0) this.#finish(waiter);
    }
  }

  #check(session: SessionEndpoints, waiter: Waiter): void {
    if (session.knows(waiter.networkIds, waiter.index)) {
      waiter.missing.delete(session);
      drop(this.#bySession, session, waiter);
    } else {
      waiter.missing.add(session);
      entry(this.#bySession, session).add(waiter);
    }
  }

  #finish(waiter: Waiter): void {
    this.#remove(waiter);
    waiter.done();
  }

  #remove(waiter: Waiter): void {
    for (const networkId of waiter.networkIds) drop(this.#byNetwork, networkId, waiter);
    for (const session of waiter.missing) drop(this.#bySession, session, waiter);
    waiter.missing.clear();
  }
}

function entry<K>(map: Map<K, Set<Waiter>>, key: K): Set<Waiter> {
  let waiters = map.get(key);
  if (waiters === undefined) {
    waiters = new Set();
    map.set(key, waiters);
  }
  return waiters;
}

function drop<K>(map: Map<K, Set<Waiter>>, key: K, waiter: Waiter): void {
  const waiters = map.get(key);
  waiters?.delete(waiter);
  if (waiters?.size === 0) map.delete(key);
}
