import { type Leader, type Log, type LogEvent, type SharedLog, SwarmdError } from '@swarmd/model';

/** A log of which this process is the only user, as a shared one: whoever opens it leads. */
export function soleLog(log: Log): SharedLog {
  let leader: Leader | undefined;
  let index = 0;
  let tell: ((event: LogEvent) => void) | undefined;
  return {
    get leader() {
      return leader;
    },
    async replay(onObject) {
      const replayed = await log.replay(onObject);
      index = replayed.index;
      return replayed;
    },
    async append(entries) {
      await log.append(entries);
      index = entries.at(-1)?.index ?? index;
    },
    follow(onEvent) {
      tell = onEvent;
      return () => {
        if (tell === onEvent) tell = undefined;
      };
    },
    async claim(self) {
      leader = { ...self, term: (leader?.term ?? 0) + 1 };
      tell?.({ kind: 'leader', leader });
      return leader;
    },
    async resign() {
      throw new SwarmdError('failed-precondition', 'nobody else could lead: this manager is the only one');
    },
    async barrier() {
      return { index, term: leader?.term };
    },
    close: () => log.close(),
  };
}
