import type { ManagerSign } from '@swarmd/wire';

/** A manager's standing line to the leader. */
export interface LeaderLine {
  /** Tells the leader that this manager is there. */
  sign(): void;
  end(): void;
}

/** What a line tells. */
export interface LeaderLineHandlers {
  onSign(term: number): void;
  /** The line is over; called once, also when it could not be had. */
  onEnd(reason: Error): void;
}

/** Bounds of a call to another manager. */
export interface ManagerCallOptions {
  requestId?: string;
  timeoutMs: number;
  signal?: AbortSignal;
}

/** How managers reach each other, by address (`host:port`): gRPC, or a simulation's own. */
export interface ManagerTransport {
  attach(addr: string, first: ManagerSign, handlers: LeaderLineHandlers): LeaderLine;
  /** Rejects as the other side did, or with `unavailable` when nobody can tell what became of the call. */
  call(addr: string, method: string, args: unknown, options: ManagerCallOptions): Promise<unknown>;
  hears(addr: string, term: number, options: { timeoutMs: number }): Promise<boolean>;
  close(): void;
}
