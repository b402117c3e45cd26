import { type Clock, SwarmdError } from '@swarmd/model';
import type { AgentSession } from './agent-session.js';

/** A node may claim a session this often within this time: each is a transaction. */
const MAX_CLAIMS = 10;
const CLAIMS_WINDOW_MS = 8_000;
/** Superseded boot nonces remembered per node. */
const MAX_SUPERSEDED = 8;

/** What to do with a newcomer that says it is a node which already has a session. */
export type NewcomerVerdict = 'accept' | 'probe' | 'duplicate';

/**
 * Judges a newcomer. The same start of swarmd has reconnected, or the older stream has closed: accept. Another start
 * while the older stream is open: `probe`, whether the older one still lives (a host that lost power leaves its stream
 * open). A start that another has superseded already: two machines use one identity.
 */
export function judgeNewcomer(
  older: { bootNonce: string; open: boolean } | undefined,
  newcomerNonce: string,
  superseded: readonly string[],
): NewcomerVerdict {
  if (older === undefined || !older.open || older.bootNonce === newcomerNonce) return 'accept';
  return superseded.includes(newcomerNonce) ? 'duplicate' : 'probe';
}

/** The sessions of a manager: at most one per node. */
export interface SessionRegistry {
  get(nodeId: string): AgentSession | undefined;
  all(): Iterable<AgentSession>;
  readonly size: number;
  /**
   * Makes `session` its node's session; an older one is ended. Rejects with `already-exists` when the older one belongs
   * to another start of swarmd and answers within `probeMs`: the identity was copied, and the newcomer is kept out.
   * `unavailable` when the node does this too often.
   */
  claim(session: AgentSession, probeMs: number): Promise<void>;
  /** Whether a node's session is here, with this ID, and gives a sign within `withinMs`. */
  probe(nodeId: string, sessionId: string, withinMs: number): Promise<boolean>;
  /** Forgets a session that has ended; false when another has replaced it. */
  release(session: AgentSession): boolean;
  /** Forgets all about a node that was removed. */
  forget(nodeId: string): void;
}

/** An empty registry. */
export function createSessionRegistry(clock: Clock): SessionRegistry {
  const sessions = new Map<string, AgentSession>();
  const lastNonce = new Map<string, string>();
  const superseded = new Map<string, string[]>();
  const claims = new Map<string, number[]>();

  const limit = (nodeId: string): void => {
    const now = clock.monotonic();
    const recent = (claims.get(nodeId) ?? []).filter((at) => now - at < CLAIMS_WINDOW_MS);
    if (recent.length >= MAX_CLAIMS) throw new SwarmdError('unavailable', 'this node registers too often');
    claims.set(nodeId, [...recent, now]);
  };
  const judge = (session: AgentSession): NewcomerVerdict => {
    const older = sessions.get(session.nodeId);
    const known = older && { bootNonce: older.bootNonce, open: older.stream.open };
    return judgeNewcomer(known, session.bootNonce, superseded.get(session.nodeId) ?? []);
  };
  const take = (session: AgentSession): void => {
    const older = sessions.get(session.nodeId);
    sessions.set(session.nodeId, session);
    const nonce = lastNonce.get(session.nodeId);
    if (nonce !== undefined && nonce !== session.bootNonce) {
      const nonces = [...(superseded.get(session.nodeId) ?? []), nonce];
      superseded.set(session.nodeId, nonces.slice(-MAX_SUPERSEDED));
    }
    lastNonce.set(session.nodeId, session.bootNonce);
    older?.stream.end(new SwarmdError('aborted', 'a newer session of this node has taken over'));
  };
  const claim = async (session: AgentSession, probeMs: number): Promise<void> => {
    limit(session.nodeId);
    let verdict = judge(session);
    while (verdict === 'probe') {
      const older = sessions.get(session.nodeId)!;
      if (await givesSign(older, probeMs, clock)) verdict = 'duplicate';
      else verdict = sessions.get(session.nodeId) === older ? 'accept' : judge(session);
    }
    if (verdict === 'accept') return take(session);
    throw alreadyConnected(session.nodeId, sessions.get(session.nodeId)?.addr ?? 'elsewhere');
  };
  return {
    get: (nodeId) => sessions.get(nodeId),
    all: () => sessions.values(),
    get size() {
      return sessions.size;
    },
    claim,
    probe: async (nodeId, sessionId, withinMs) => {
      const session = sessions.get(nodeId);
      if (session?.sessionId !== sessionId || !session.stream.open) return false;
      return givesSign(session, withinMs, clock);
    },
    release: (session) => {
      if (sessions.get(session.nodeId) !== session) return false;
      sessions.delete(session.nodeId);
      return true;
    },
    forget: (nodeId) => {
      sessions.delete(nodeId);
      lastNonce.delete(nodeId);
      superseded.delete(nodeId);
      claims.delete(nodeId);
    },
  };
}

/** The refusal for a second machine that says it is a node. */
export function alreadyConnected(nodeId: string, where: string): SwarmdError {
  return new SwarmdError(
    'already-exists',
    `node ${nodeId} is already connected from ${where}: is this machine’s disk a copy of that one’s? Leave and join again`,
  );
}

function givesSign(session: AgentSession, withinMs: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const forget = session.onNextSign((alive) => {
      cancel();
      resolve(alive);
    });
    const cancel = clock.after(withinMs, () => {
      forget();
      resolve(false);
    });
  });
}
