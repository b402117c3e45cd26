/** What the leader does for managers that cannot write: in place of a transaction of their own. */
export interface LeaderCalls {
  /**
   * Has the leader run `method` with `args` (plain JSON), wherever it is, and resolves with its result. With a request ID
   * the call is tried again when leaders change, and takes effect once; without, the method must be harmless to repeat.
   * Rejects with the leader's refusal, or with `unavailable` when no leader answered in time.
   */
  call(method: string, args: unknown, options?: LeaderCallOptions): Promise<unknown>;
}

/** Options of {@link LeaderCalls.call}. */
export interface LeaderCallOptions {
  /** Drawn once per write of a client. */
  requestId?: string;
  signal?: AbortSignal;
}

/** How the leader serves a method of {@link LeaderCalls}. */
export type LeaderCallHandler = (args: unknown, context: { requestId: string | undefined }) => Promise<unknown>;

/** All methods that a leader serves, by name. */
export type LeaderCallHandlers = Readonly<Record<string, LeaderCallHandler>>;
