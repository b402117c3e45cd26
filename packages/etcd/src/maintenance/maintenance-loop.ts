import { asSwarmdError, type Clock, pause } from '@swarmd/model';
import type { Logger } from 'pino';
import type { EtcdAdmin } from '../admin/admin.js';
import { etcdErrorKind } from '../admin/errors.js';
import {
  hasRoom,
  KEEP_MS,
  type MaintenancePlan,
  planMaintenance,
  type RevisionSample,
  type SpaceState,
} from './decide.js';

/** What is told to people about an etcd's space and data, whenever it changes. */
export interface MaintenanceReport {
  space: SpaceState;
  dbSizeBytes: number;
  dbSizeInUseBytes: number;
  quotaBytes: number;
  /** IDs of members whose data differs from that of the others: each must be replaced. */
  corrupt: readonly string[];
}

/** What {@link startEtcdMaintenance} needs. */
export interface MaintenanceOptions {
  /** Of this host's own member. */
  admin: EtcdAdmin;
  quotaBytes: () => number;
  /** Whether this manager leads: it compacts for all. */
  isLeader: () => boolean;
  onReport: (report: MaintenanceReport) => void;
  clock: Clock;
  logger: Logger;
  /** Between two rounds; default 15 s. */
  periodMs?: number;
}

/** Keeps an etcd member from running out of space. */
export interface EtcdMaintenance {
  /** Does one round now, after the one under way. Rejects with what went wrong. */
  round(): Promise<void>;
  /**
   * Has the database file rewritten at the next occasion, one member after another, so that values that are in the history
   * no more are not in the file either. Not where that would stop the member for long: then they go with time.
   */
  purge(): void;
  /** The last report. */
  readonly report: MaintenanceReport | undefined;
  /** Resolves when no round is under way any more. */
  stop(): Promise<void>;
}

const PERIOD_MS = 15_000;
const CALL_MS = 10_000;
/** Compactions and defragmentations of a full database take minutes on a slow disk. */
const LONG_CALL_MS = 600_000;
/** A database of this size is rewritten in some seconds, during which its member answers nothing. */
const PURGED_BYTES = 256 * 1024 * 1024;
const LOCK_KEY = '/swarmd/defragment';

/** Starts rounds of maintenance for this host's member; run it on every manager's host. */
export function startEtcdMaintenance(options: MaintenanceOptions): EtcdMaintenance {
  const loop = new MaintenanceLoop(options);
  loop.start();
  return loop;
}

class MaintenanceLoop implements EtcdMaintenance {
  readonly #options: MaintenanceOptions;
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  #run: Promise<void> = Promise.resolve();
  #round: Promise<void> = Promise.resolve();
  #report: MaintenanceReport | undefined;
  #samples: RevisionSample[] = [];
  #compacted = 0;
  #defragmentedAtMs: number | undefined;
  #nospaceSinceMs: number | undefined;
  #purges = false;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#log = options.logger.child({ component: 'etcd-maintenance' });
  }

  get report(): MaintenanceReport | undefined {
    return this.#report;
  }

  start(): void {
    this.#run = this.#rounds();
  }

  purge(): void {
    this.#purges = true;
  }

  round(): Promise<void> {
    const next = this.#round.then(() => this.#doRound());
    this.#round = next.catch(() => {});
    return next;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#run;
    await this.#round;
  }

  async #rounds(): Promise<void> {
    const { clock, periodMs = PERIOD_MS } = this.#options;
    for (;;) {
      await pause(clock, periodMs, this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      await this.round().catch((thrown) => {
        if (this.#stopped.signal.aborted) return;
        this.#log.warn({ problem: asSwarmdError(thrown).message }, 'etcd’s maintenance will be tried again');
      });
    }
  }

  async #doRound(): Promise<void> {
    const { admin, isLeader } = this.#options;
    const quotaBytes = this.#options.quotaBytes();
    const signal = this.#signal(CALL_MS);
    const status = await admin.status(signal);
    // It is not ours yet to look after, and answers little else.
    if (status.isLearner) return;
    const [alarms, members] = await Promise.all([admin.alarms(signal), admin.memberList(signal)]);
    const nowMs = this.#options.clock.monotonic();
    const isFull = alarms.some(({ kind }) => kind === 'nospace');
    this.#nospaceSinceMs = isFull ? (this.#nospaceSinceMs ?? nowMs) : undefined;
    const plan = planMaintenance({
      ...{ nowMs, status, quotaBytes, alarms, isLeader: isLeader(), memberIds: members.map(({ id }) => id) },
      ...{ samples: this.#samples, compacted: this.#compacted },
      ...{ defragmentedAtMs: this.#defragmentedAtMs, nospaceSinceMs: this.#nospaceSinceMs },
    });
    this.#remember({ atMs: nowMs, revision: status.revision });
    const { dbSizeBytes, dbSizeInUseBytes } = status;
    this.#tell({ space: plan.space, dbSizeBytes, dbSizeInUseBytes, quotaBytes, corrupt: plan.corrupt });
    const purges = this.#purges && dbSizeBytes <= PURGED_BYTES;
    this.#purges &&= purges;
    const rewrite = { needsLock: true, reason: 'replaced values are to go' };
    await this.#carryOut(
      purges ? { ...plan, defragment: plan.defragment ?? rewrite } : plan,
      quotaBytes,
      status.memberId,
    );
  }

  async #carryOut(plan: MaintenancePlan, quotaBytes: number, memberId: string): Promise<void> {
    const { admin } = this.#options;
    if (plan.compact !== undefined) await this.#compact(plan.compact);
    if (plan.defragment !== undefined) await this.#defragment(plan.defragment);
    for (const alarm of plan.disarm) {
      const isOwn = alarm.memberId === memberId;
      if (isOwn && !hasRoom(await admin.status(this.#signal(CALL_MS)), quotaBytes)) continue;
      await admin.disarm(alarm, this.#signal(CALL_MS));
      this.#log.warn({ memberId: alarm.memberId }, 'etcd has room again: writes go on');
    }
  }

  async #compact({ revision, isPhysical }: NonNullable<MaintenancePlan['compact']>): Promise<void> {
    try {
      await this.#options.admin.compact(revision, isPhysical, this.#signal(LONG_CALL_MS));
      this.#log.debug({ revision }, 'compacted etcd’s history');
    } catch (thrown) {
      // The leader before us did.
      if (etcdErrorKind(thrown) !== 'compacted') throw thrown;
    }
    this.#compacted = revision;
  }

  async #defragment({ needsLock, reason }: NonNullable<MaintenancePlan['defragment']>): Promise<void> {
    const { admin, clock } = this.#options;
    const release = needsLock
      ? await admin.tryLock({ key: LOCK_KEY, nowMs: clock.now(), ttlMs: LONG_CALL_MS }, this.#signal(CALL_MS))
      : undefined;
    if (needsLock && release === undefined) return;
    try {
      const startedMs = clock.monotonic();
      await admin.defragment(this.#signal(LONG_CALL_MS));
      this.#defragmentedAtMs = clock.monotonic();
      this.#purges = false;
      this.#log.info(
        { reason, tookMs: Math.round(this.#defragmentedAtMs - startedMs) },
        'defragmented etcd’s database',
      );
    } finally {
      await release?.(AbortSignal.timeout(CALL_MS));
    }
  }

  /** Keeps what tells the revision of {@link KEEP_MS} ago. */
  #remember(sample: RevisionSample): void {
    const isOld = ({ atMs }: RevisionSample): boolean => atMs <= sample.atMs - KEEP_MS;
    const lastOld = this.#samples.findLastIndex(isOld);
    this.#samples = [...this.#samples.slice(Math.max(0, lastOld)), sample];
  }

  #tell(report: MaintenanceReport): void {
    const before = this.#report;
    this.#report = report;
    const isSame = before?.space === report.space && before.corrupt.join() === report.corrupt.join();
    if (isSame || (before === undefined && report.space === 'ample' && report.corrupt.length === 0)) return;
    this.#options.onReport(report);
    if (report.space === 'ample' && report.corrupt.length === 0) this.#log.info(report, 'etcd has ample space');
    else if (report.corrupt.length > 0) this.#log.error(report, 'the data of etcd members differs');
    else if (report.space === 'full')
      this.#log.error(report, 'etcd’s space is used up: nothing can be written until some is free');
    else this.#log.warn(report, 'etcd’s space is nearly used up; when it is, nothing can be written any more');
  }

  #signal(ms: number): AbortSignal {
    return AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ms)]);
  }
}
