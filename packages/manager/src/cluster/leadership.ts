import { isErrorCode, type Leader, type Random, type SharedStore, withDeadline } from '@swarmd/model';
import type { Logger } from 'pino';
import { LeaderWatch, type LeaderWatchDependencies } from './leader-watch.js';
import { takeoverStep } from './takeover.js';

/** The leader is looked at this often. */
const TICK_MS = 50;
/** The most that the leader's silence grows by in one turn of the event loop: a stall of our own is not its death. */
const MAX_ADVANCE_MS = 200;
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
export interface LeadershipDependencies extends LeaderWatchDependencies {
  store: SharedStore;
  /** Addresses of the other managers, the leader's included. */
  others(): readonly { nodeId: string; addr: string }[];
  /** Whether this host's member of the log's consensus leads it. */
  leadsConsensus(): boolean;
  /** Whether this manager is still one: who is being demoted leads no more. */
  mayLead(): boolean;
  random: Random;
}

/** Keeps a line to the leader, and takes its place when it is gone. */
export function startLeadership(deps: LeadershipDependencies): Leadership {
  return new OwnLeadership(deps);
}

class OwnLeadership implements Leadership {
  readonly #deps: LeadershipDependencies;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #unlisten: () => void;
  readonly #watch: LeaderWatch;
  #cancelTick = (): void => {};
  #countedMs = 0;
  #lastTick: number;
  #term: number | undefined;
  #nextCheckMs = 0;
  #nextClaimMs = 0;
  #sureMs = Number.NEGATIVE_INFINITY;
  #checking = false;
  /** This manager is about to stop, and others are there to lead. */
  #yielding = false;
  #restsUntilMs = 0;
  #claiming: Promise<void> | undefined;

  constructor(deps: LeadershipDependencies) {
    this.#deps = deps;
    this.#logger = deps.logger.child({ component: 'leadership' });
    this.#watch = new LeaderWatch({ ...deps, logger: this.#logger }, () => this.#countedMs);
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
    return this.#watch.lostForMs();
  }

  hears(term: number): boolean {
    if (this.leader?.term !== term) return false;
    return this.leads ? this.sure : this.#watch.hears;
  }

  onChange(listener: () => void): () => void {
    return this.#deps.store.onLeadership(listener);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelTick();
    this.#unlisten();
    this.#watch.end();
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
    if (leads) this.#sureMs = this.#countedMs;
    if (leader?.term !== this.#term || leads) {
      this.#term = leader?.term;
      this.#watch.follow(leader);
      if (leads) this.#logger.info({ term: leader?.term }, 'this manager leads');
      else this.#logger.info({ leader: leader?.nodeId, term: leader?.term }, 'another manager leads, or none');
    }
    if (leads) this.#watch.lead();
  }

  #tick(): void {
    if (this.leads) this.#check();
    else {
      this.#watch.tick();
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

  #takeOver(): void {
    if (this.#yielding || this.#countedMs < this.#restsUntilMs) return;
    if (this.#claiming !== undefined || this.#countedMs < this.#nextClaimMs || !this.#deps.mayLead()) return;
    const step = takeoverStep({
      leads: false,
      leader: this.leader,
      nodeId: this.#deps.self.nodeId,
      ...this.#watch.observed,
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
