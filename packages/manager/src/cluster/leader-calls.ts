/** What the leader does for managers that cannot write: in place of a transaction of their own. */
export interface LeaderCalls {
  /**
   * Has the leader run `method` with `args` (plain JSON), wherever it is, and resolves with its result. Rejects with the
   * leader's own refusal; with `not-leader` when surely nothing was done, because there is no leader or it changed; with
   * `unavailable` when nobody can tell. A call with a request ID takes effect once, however often it is made; without one
   * the method must be harmless to repeat.
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

/** As {@link LeaderCallHandlers}, by those that need no request ID. Handlers check the shape of what they are given. */
export type LeaderHandlers = Readonly<Record<string, (args: unknown) => Promise<unknown>>>;

/** Whether this manager hears from the one that leads. */
export interface LeaderContact {
  /** How long there has been no leader that this manager could reach; 0 while there is one, or it is this manager. */
  lostForMs(): number;
}
