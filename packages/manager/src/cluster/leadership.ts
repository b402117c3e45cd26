import {
  type Clock,
  isErrorCode,
  type Leader,
  type Random,
  type SharedStore,
  type SwarmdError,
  withDeadline,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { HEARD_MS, SIGN_PERIOD_MS, takeoverStep } from './takeover.js';
import type { LeaderLine, ManagerTransport } from './transport.js';

/** The leader is looked at this often. */
const TICK_MS = 50;
/** The most that the leader's silence grows by in one turn of the event loop: a stall of our own is not its death. */
const MAX_ADVANCE_MS = 200;
/** A broken line is tried again this often. */
const REATTACH_MS = 50;
/** A leader makes sure that it still is one this often, */
const CHECK_PERIOD_MS = 500;
/** and gives signs only as long as the last time that it was sure is not longer ago than this. */
const SURE_MS = 2_000;
/** How long other managers may take to say whether they hear the leader. */
const ASK_TIMEOUT_MS = 300;
/** Waiting between attempts to lead: up to this, drawn anew, so that several do not meet again and again. */
const CLAIM_PAUSE_MS = 150;
/**
 * A claim is given up after this long and made again: one that was passed on to a consensus leader that has just died is
 * never answered.
 */
const CLAIM_TIMEOUT_MS = 500;
/** A manager that gave up leading leaves it to others for this long. */
const REST_MS = 5_000;
/** Handing over, and making sure of leading, may take this long. */
const QUORUM_TIMEOUT_MS = 5_000;

/** Who leads the managers, as this one sees it. */
export interface Leadership {
  readonly leads: boolean;
  readonly leader: Leader | undefined;
  /** Whether this manager leads and is sure of it: what its signs to other managers depend on. */
  readonly sure: boolean;
  /** How long this manager has had no leader that it hears, in milliseconds; 0 while it has one or leads. */
  lostForMs(): number;
  /** Whether this manager hears the leader of `term`. */
  hears(term: number): boolean;
  /** Calls `listener` when `leads` or `leader` has changed; the returned function ends that. */
  onChange(listener: () => void): () => void;
  /**
   * Leads no more: gives leadership up, if this manager has it, and resolves once another one leads, or after five
   * seconds. It goes on following. A manager without others goes on leading.
   */
  handOver(): Promise<void>;
  /**
   * Gives leadership up and leaves it to others for five seconds. Resolves with whether this manager leads no more: one
   * without others, or without a quorum, goes on leading.
   */
  giveUp(): Promise<boolean>;
  /** Gives leadership up, if this manager has it, and follows no more. */
  stop(): Promise<void>;
}

/** What {@link startLeadership} needs. */
export interface LeadershipDependencies {
  store: SharedStore;
  self: Pick<Leader, 'nodeId' | 'addr'>;
  version: string;
  protocol: number;
  /** The newest form of the cluster's state that this manager can work on. */
  stateFormat: number;
  transport: ManagerTransport;
  /** Addresses of the other managers, the leader's included. */
  others(): readonly { nodeId: string; addr: string }[];
  /** Whether this host's member of the log's consensus leads it. */
  leadsConsensus(): boolean;
  /** Whether this manager is still one: who is being demoted leads no more. */
  mayLead(): boolean;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Keeps a line to the leader, and takes its place when it is gone. */
export function startLeadership(deps: LeadershipDependencies): Leadership {
  return new LeaderWatch(deps);
}

class LeaderWatch implements Leadership {
  readonly #deps: LeadershipDependencies;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #unlisten: () => void;
  #cancelTick = (): void => {};
  #countedMs = 0;
  #lastTick: number;
  #term: number | undefined;
  #line: LeaderLine | undefined;
  #lastSignMs = 0;
  #heard = false;
  #brokenSinceMs: number | undefined;
  #lostSinceMs: number | undefined = 0;
  #nextSignMs = 0;
  #nextAttachMs = 0;
  #nextCheckMs = 0;
  #nextClaimMs = 0;
  #sureMs = Number.NEGATIVE_INFINITY;
  #checking = false;
  /** This manager is about to stop, and others are there to lead. */
  #yielding = false;
  #restsUntilMs = 0;
  #refusal = '';
  #claiming: Promise<void> | undefined;

  constructor(deps: LeadershipDependencies) {
    this.#deps = deps;
    this.#logger = deps.logger.child({ component: 'leadership' });
    this.#lastTick = deps.clock.monotonic();
    this.#unlisten = deps.store.onLeadership(() => this.#onLeadership());
    this.#onLeadership();
    this.#plan();
  }

  get leads(): boolean {
    return this.#deps.store.leads;
  }

  get leader(): Leader | undefined {
    return this.#deps.store.leader;
  }

  get sure(): boolean {
    return this.leads && this.#countedMs - this.#sureMs <= SURE_MS;
  }

  lostForMs(): number {
    return this.#lostSinceMs === undefined ? 0 : this.#countedMs - this.#lostSinceMs;
  }

  hears(term: number): boolean {
    if (this.leader?.term !== term) return false;
    return this.leads ? this.sure : this.#line !== undefined && this.#countedMs - this.#lastSignMs <= HEARD_MS;
  }

  onChange(listener: () => void): () => void {
    return this.#deps.store.onLeadership(listener);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelTick();
    this.#unlisten();
    this.#line?.end();
    await this.#claiming;
    await this.#resign();
  }

  async giveUp(): Promise<boolean> {
    this.#restsUntilMs = this.#countedMs + REST_MS;
    return this.#resign();
  }

  async handOver(): Promise<void> {
    this.#yielding = this.#deps.others().length > 0;
    await this.#claiming;
    if (!this.leads || !this.#yielding) return;
    if (await this.#resign()) await this.#untilLed();
  }

  /** Whether leadership was given up for others to take. */
  async #resign(): Promise<boolean> {
    if (!this.leads || this.#deps.others().length === 0) return false;
    const { clock, store } = this.#deps;
    try {
      await withDeadline(clock, QUORUM_TIMEOUT_MS, undefined, (signal) => store.resign(signal));
      return true;
    } catch (error) {
      this.#logger.warn({ err: error }, 'leadership was not handed over: others take it when this manager is silent');
      return false;
    }
  }

  #untilLed(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.leader !== undefined) done();
      };
      const done = (): void => {
        unlisten();
        cancel();
        resolve();
      };
      const cancel = this.#deps.clock.after(QUORUM_TIMEOUT_MS, done);
      const unlisten = this.onChange(look);
      look();
    });
  }

  #plan(): void {
    this.#cancelTick = this.#deps.clock.after(TICK_MS, () => {
      const now = this.#deps.clock.monotonic();
      this.#countedMs += Math.min(MAX_ADVANCE_MS, now - this.#lastTick);
      this.#lastTick = now;
      this.#tick();
      if (!this.#abort.signal.aborted) this.#plan();
    });
  }

  #onLeadership(): void {
    const { leads, leader } = this;
    if (leads) {
      this.#sureMs = this.#countedMs;
      this.#lostSinceMs = undefined;
    }
    if (leader?.term === this.#term && !leads) return;
    this.#term = leader?.term;
    this.#line?.end();
    this.#line = undefined;
    this.#lastSignMs = this.#countedMs;
    this.#heard = false;
    this.#brokenSinceMs = undefined;
    this.#nextAttachMs = 0;
    if (leads) this.#logger.info({ term: leader?.term }, 'this manager leads');
    else this.#logger.info({ leader: leader?.nodeId, term: leader?.term }, 'another manager leads, or none');
    if (!leads && this.#lostSinceMs === undefined) this.#lostSinceMs = this.#countedMs;
  }

  #tick(): void {
    if (this.leads) this.#check();
    else {
      this.#attach();
      this.#takeOver();
    }
  }

  /** A leader makes sure that nobody has taken its place. */
  #check(): void {
    if (this.#checking || this.#countedMs < this.#nextCheckMs) return;
    this.#checking = true;
    this.#nextCheckMs = this.#countedMs + CHECK_PERIOD_MS;
    const began = this.#countedMs;
    const { clock, store } = this.#deps;
    withDeadline(clock, QUORUM_TIMEOUT_MS, this.#abort.signal, (signal) => store.fresh(signal))
      .then(
        () => {
          this.#sureMs = began;
        },
        (error: unknown) => this.#logger.debug({ err: error }, 'this leader cannot reach a quorum'),
      )
      .finally(() => {
        this.#checking = false;
      });
  }

  #attach(): void {
    const leader = this.leader;
    if (this.#line !== undefined) {
      if (this.#countedMs < this.#nextSignMs) return;
      this.#nextSignMs = this.#countedMs + SIGN_PERIOD_MS;
      this.#line.sign();
      return;
    }
    if (leader === undefined || leader.nodeId === this.#deps.self.nodeId || this.#countedMs < this.#nextAttachMs)
      return;
    this.#nextAttachMs = this.#countedMs + REATTACH_MS;
    const { transport, version, protocol, stateFormat, clock, self } = this.#deps;
    const current = (): boolean => this.#line === line && this.#term === leader.term;
    const line = transport.attach(
      leader.addr,
      { swarmdVersion: version, protocol, clockMs: clock.now(), addr: self.addr, stateFormat },
      {
        onSign: (term) => {
          if (!current() || term !== leader.term) return;
          this.#lastSignMs = this.#countedMs;
          this.#heard = true;
          this.#brokenSinceMs = undefined;
          this.#lostSinceMs = undefined;
        },
        onEnd: (reason) => {
          if (!current()) return;
          this.#line = undefined;
          this.#lostSinceMs ??= this.#countedMs;
          if (isErrorCode(reason, 'incompatible', 'permission-denied')) this.#refused(reason);
          // One that has just claimed, or no longer leads, is there: only its silence counts, not a broken line.
          else if (!isErrorCode(reason, 'not-leader')) this.#brokenSinceMs ??= this.#countedMs;
        },
      },
    );
    this.#line = line;
    this.#nextSignMs = this.#countedMs + SIGN_PERIOD_MS;
  }

  /** The leader is there and does not speak with this version, or not with a node that it knows as a worker: no reason to take its place. */
  #refused(reason: SwarmdError): void {
    this.#lastSignMs = this.#countedMs;
    this.#brokenSinceMs = undefined;
    this.#nextAttachMs = this.#countedMs + SIGN_PERIOD_MS;
    if (this.#refusal === reason.message) return;
    this.#refusal = reason.message;
    this.#logger.error({ leader: this.leader?.nodeId, reason: reason.message }, 'the leader refuses this manager');
  }

  #takeOver(): void {
    if (this.#yielding || this.#countedMs < this.#restsUntilMs) return;
    if (this.#claiming !== undefined || this.#countedMs < this.#nextClaimMs || !this.#deps.mayLead()) return;
    const step = takeoverStep({
      leads: false,
      leader: this.leader,
      nodeId: this.#deps.self.nodeId,
      heard: this.#heard,
      silentMs: this.#countedMs - this.#lastSignMs,
      brokenMs: this.#brokenSinceMs === undefined ? undefined : this.#countedMs - this.#brokenSinceMs,
      leadsConsensus: this.#deps.leadsConsensus(),
    });
    if (step === 'nothing') return;
    this.#claiming = this.#claim(step === 'ask')
      .catch((error: unknown) => {
        if (!isErrorCode(error, 'unavailable', 'deadline-exceeded', 'aborted'))
          this.#logger.warn({ err: error }, 'leadership could not be claimed');
      })
      .finally(() => {
        this.#claiming = undefined;
        this.#nextClaimMs = this.#countedMs + CLAIM_PAUSE_MS * this.#deps.random.float();
      });
  }

  async #claim(ask: boolean): Promise<void> {
    const { clock, store, self } = this.#deps;
    const leader = store.leader;
    if (ask && leader !== undefined && (await this.#heardElsewhere(leader))) return;
    if (this.#abort.signal.aborted || store.leader?.term !== leader?.term) return;
    this.#logger.info({ in: leader?.nodeId, term: leader?.term }, 'claiming leadership');
    await withDeadline(clock, CLAIM_TIMEOUT_MS, this.#abort.signal, (signal) => store.claim(self, signal));
  }

  /** Whether another manager hears a leader that is silent here: then it is the line that is broken, not the leader. */
  async #heardElsewhere({ nodeId, term }: Leader): Promise<boolean> {
    const { others, transport } = this.#deps;
    const asked = others().filter((other) => other.nodeId !== nodeId);
    const answers = asked.map(({ addr }) => transport.hears(addr, term, { timeoutMs: ASK_TIMEOUT_MS }));
    const heard = (await Promise.allSettled(answers)).some((answer) => answer.status === 'fulfilled' && answer.value);
    if (heard) this.#logger.debug({ leader: nodeId }, 'the leader is silent here, and heard elsewhere');
    return heard;
  }
}
