import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';

/** Something that runs while this manager leads. */
export interface Duty {
  stop(): Promise<void>;
}

/** Starts one duty; another is started only when it is. */
export type StartDuty = () => Duty | Promise<Duty>;

/** The duties of a leader: started in order when it comes to lead, stopped in the reverse order when it does no more. */
export interface Duties {
  /** Whether they should run. Resolves once they do, or have stopped, as asked last. */
  set(lead: boolean): Promise<void>;
}

/** Between two attempts of a leader that nobody takes over from, in milliseconds: doubled with each up to the maximum. */
const RETRY_MS = { min: 1_000, max: 30_000 } as const;

/** What {@link createDuties} needs. */
export interface DutiesDependencies {
  /** Has another manager lead. Resolves with whether this one leads no more. */
  giveUp(): Promise<boolean>;
  clock: Clock;
  logger: Logger;
}

/**
 * No duty runs yet. When one fails to start, that is logged, all are stopped, and another manager is to lead: it may do
 * better. Where there is none they are tried again.
 */
export function createDuties(starters: readonly StartDuty[], deps: DutiesDependencies): Duties {
  const { clock, logger } = deps;
  let wanted = false;
  /** What runs belongs to a leadership that is over. */
  let over = false;
  let pauseMs: number = RETRY_MS.min;
  let cancelRetry = (): void => {};
  const running: Duty[] = [];
  let turn: Promise<void> = Promise.resolve();

  const stopAll = async (): Promise<void> => {
    for (const duty of running.splice(0).reverse()) {
      await duty.stop().catch((error: unknown) => logger.error({ err: error }, 'a duty of the leader failed to stop'));
    }
  };
  const follow = async (): Promise<void> => {
    if (over) await stopAll();
    over = false;
    if (!wanted || running.length > 0) return;
    for (const start of starters) {
      // Whoever said so has asked for another turn.
      if (over) return;
      running.push(await start());
    }
    pauseMs = RETRY_MS.min;
  };
  const fail = async (error: unknown): Promise<void> => {
    logger.error({ err: error }, 'a duty of the leader failed to start');
    await stopAll();
    if (over || !wanted || (await deps.giveUp().catch(() => false)) || over || !wanted) return;
    logger.warn({ againInMs: pauseMs }, 'no other manager leads instead: the duties are started again');
    cancelRetry = clock.after(pauseMs, () => void next());
    pauseMs = Math.min(RETRY_MS.max, pauseMs * 2);
  };
  const next = (): Promise<void> => {
    turn = turn.then(follow).catch(fail);
    return turn;
  };
  return {
    set: (lead) => {
      cancelRetry();
      wanted = lead;
      over ||= !lead;
      return next();
    },
  };
}
