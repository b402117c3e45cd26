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

/** No duty runs yet. One that fails to start is logged, and all are stopped: whoever leads next may do better. */
export function createDuties(starters: readonly StartDuty[], logger: Logger): Duties {
  let wanted = false;
  /** What runs belongs to a leadership that is over. */
  let over = false;
  const running: Duty[] = [];
  let turn: Promise<void> = Promise.resolve();

  const stopAll = async (): Promise<void> => {
    for (const duty of running.splice(0).reverse()) await duty.stop();
  };
  const follow = async (): Promise<void> => {
    if (over) await stopAll();
    over = false;
    if (!wanted || running.length > 0) return undefined;
    for (const start of starters) {
      // Whoever said so has asked for another turn.
      if (over) return undefined;
      running.push(await start());
    }
    return undefined;
  };
  return {
    set: (lead) => {
      wanted = lead;
      over ||= !lead;
      turn = turn.then(follow).catch(async (error: unknown) => {
        logger.error({ err: error }, 'a duty of the leader failed to start');
        await stopAll();
      });
      return turn;
    },
  };
}
