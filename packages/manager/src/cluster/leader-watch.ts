import { type Clock, isErrorCode, type Leader, type SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { HEARD_MS, type LeaderObserved, SIGN_PERIOD_MS } from './takeover.js';
import type { LeaderLine, ManagerTransport } from './transport.js';

/** A broken line is tried again this often. */
const REATTACH_MS = 50;

/** What a {@link LeaderWatch} needs. */
export interface LeaderWatchDependencies {
  self: Pick<Leader, 'nodeId' | 'addr'>;
  version: string;
  protocol: number;
  /** The newest form of the cluster's state that this manager can work on. */
  stateFormat: number;
  transport: ManagerTransport;
  clock: Clock;
  logger: Logger;
}

/**
 * A follower's line to the leader, and what is known of the leader by it. Times are in milliseconds of a clock that the
 * caller counts.
 */
export class LeaderWatch {
  readonly #deps: LeaderWatchDependencies;
  readonly #countedMs: () => number;
  #leader: Leader | undefined;
  #line: LeaderLine | undefined;
  #lastSignMs = 0;
  #heard = false;
  #brokenSinceMs: number | undefined;
  #lostSinceMs: number | undefined = 0;
  #nextSignMs = 0;
  #nextAttachMs = 0;
  #refusal = '';

  constructor(deps: LeaderWatchDependencies, countedMs: () => number) {
    this.#deps = deps;
    this.#countedMs = countedMs;
  }

  /** There is another leader, or another term of the same, or none. */
  follow(leader: Leader | undefined): void {
    this.end();
    this.#leader = leader;
    this.#lastSignMs = this.#countedMs();
    this.#heard = false;
    this.#brokenSinceMs = undefined;
    this.#nextAttachMs = 0;
    this.#lostSinceMs ??= this.#countedMs();
  }

  /** This manager leads: it has lost nobody. */
  lead(): void {
    this.#lostSinceMs = undefined;
  }

  end(): void {
    this.#line?.end();
    this.#line = undefined;
  }

  /** How long this manager has had no leader that it hears; 0 while it has one or leads. */
  lostForMs(): number {
    return this.#lostSinceMs === undefined ? 0 : this.#countedMs() - this.#lostSinceMs;
  }

  /** Whether the leader has given a sign a moment ago. */
  get hears(): boolean {
    return this.#line !== undefined && this.#countedMs() - this.#lastSignMs <= HEARD_MS;
  }

  /** What speaks for and against the leader's being there. */
  get observed(): Pick<LeaderObserved, 'heard' | 'silentMs' | 'brokenMs'> {
    const nowMs = this.#countedMs();
    return {
      heard: this.#heard,
      silentMs: nowMs - this.#lastSignMs,
      brokenMs: this.#brokenSinceMs === undefined ? undefined : nowMs - this.#brokenSinceMs,
    };
  }

  /** Gives the leader a sign when it is due, or tries to have a line to it. */
  tick(): void {
    const leader = this.#leader;
    const nowMs = this.#countedMs();
    if (this.#line !== undefined) {
      if (nowMs < this.#nextSignMs) return;
      this.#nextSignMs = nowMs + SIGN_PERIOD_MS;
      this.#line.sign();
      return;
    }
    if (leader === undefined || leader.nodeId === this.#deps.self.nodeId || nowMs < this.#nextAttachMs) return;
    this.#nextAttachMs = nowMs + REATTACH_MS;
    this.#attach(leader);
    this.#nextSignMs = nowMs + SIGN_PERIOD_MS;
  }

  #attach(leader: Leader): void {
    const { transport, version, protocol, stateFormat, clock, self } = this.#deps;
    const current = (): boolean => this.#line === line && this.#leader?.term === leader.term;
    const line = transport.attach(
      leader.addr,
      { swarmdVersion: version, protocol, clockMs: clock.now(), addr: self.addr, stateFormat },
      {
        onSign: (term) => {
          if (!current() || term !== leader.term) return;
          this.#lastSignMs = this.#countedMs();
          this.#heard = true;
          this.#brokenSinceMs = undefined;
          this.#lostSinceMs = undefined;
        },
        onEnd: (reason) => {
          if (!current()) return;
          this.#line = undefined;
          this.#lostSinceMs ??= this.#countedMs();
          if (isErrorCode(reason, 'incompatible', 'permission-denied')) this.#refused(reason);
          // One that has just claimed, or no longer leads, is there: only its silence counts, not a broken line.
          else if (!isErrorCode(reason, 'not-leader')) this.#brokenSinceMs ??= this.#countedMs();
        },
      },
    );
    this.#line = line;
  }

  /** The leader is there and does not speak with this version, or not with a node that it knows as a worker: no reason to take its place. */
  #refused(reason: SwarmdError): void {
    this.#lastSignMs = this.#countedMs();
    this.#brokenSinceMs = undefined;
    this.#nextAttachMs = this.#countedMs() + SIGN_PERIOD_MS;
    if (this.#refusal === reason.message) return;
    this.#refusal = reason.message;
    this.#deps.logger.error(
      { leader: this.#leader?.nodeId, reason: reason.message },
      'the leader refuses this manager',
    );
  }
}
