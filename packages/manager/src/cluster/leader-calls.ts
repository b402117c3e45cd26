/** How a manager has the one that leads do something: over gRPC, or straight away where this manager leads itself. */
export interface LeaderCalls {
  /**
   * Calls `method` of the leader with JSON-able `args` and resolves with its JSON-able result. Rejects with the leader's own
   * refusal; with `not-leader` when surely nothing was done, because there is no leader or it changed; with `unavailable`
   * when nobody can tell. A call with a `requestId` may be sent again when its answer was lost: the method must see to it
   * that the second does no more than the first.
   */
  call(method: string, args: unknown, options?: { requestId?: string; signal?: AbortSignal }): Promise<unknown>;
}

/** What the leader does for other managers, by method. Handlers check the shape of what they are given. */
export type LeaderHandlers = Readonly<Record<string, (args: unknown) => Promise<unknown>>>;

/** Whether this manager hears from the one that leads. */
export interface LeaderContact {
  /** How long there has been no leader that this manager could reach; 0 while there is one, or it is this manager. */
  lostForMs(): number;
}
