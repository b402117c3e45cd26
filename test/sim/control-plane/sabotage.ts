import type { ManagerNetwork } from '@swarmd/manager';
import { isErrorCode, type LogEntry, type LogEvent, type SharedLog } from '@swarmd/model';

/** A part that is broken on purpose. */
export interface Sabotage {
  log?: (log: SharedLog) => SharedLog;
  calls?: (network: ManagerNetwork) => ManagerNetwork;
}

/** `log` with some of its methods replaced. */
function instead(log: SharedLog, methods: Partial<SharedLog>): SharedLog {
  const properties = Object.entries(methods).map(([name, value]) => [name, { value }]);
  return Object.create(log, Object.fromEntries(properties)) as SharedLog;
}

/** Who has led once writes for ever: what the fence refuses gets in through the log of whoever leads. */
function withoutFence(): Sabotage {
  let leading: SharedLog | undefined;
  return {
    log: (log) =>
      instead(log, {
        claim: async (self, over, signal) => {
          const leader = await log.claim(self, over, signal);
          if (leader !== undefined) leading = log;
          return leader;
        },
        append: (entries) =>
          log.append(entries).catch(async (error: unknown) => {
            if (!isErrorCode(error, 'not-leader') || leading === undefined || leading === log) throw error;
            await leading.append(entries);
          }),
      }),
  };
}

/** Every so many appends one is acknowledged and not written. */
function withLostWrites(): Sabotage {
  let appends = 0;
  return {
    log: (log) =>
      instead(log, {
        append: (entries: readonly LogEntry[]) => (++appends % 100 === 0 ? Promise.resolve() : log.append(entries)),
      }),
  };
}

/** Followers are not told of every transaction. */
function withForgottenEvents(): Sabotage {
  let events = 0;
  return {
    log: (log) =>
      instead(log, {
        follow: (onEvent: (event: LogEvent) => void) =>
          log.follow((event) => {
            if (event.kind !== 'entry' || ++events % 500 !== 0) onEvent(event);
          }),
      }),
  };
}

/** A write that is passed on again is not known again. */
function withoutRequestIds(): Sabotage {
  return {
    calls: (network) => ({
      ...network,
      call: (addr, method, args, { requestId: _, ...options }) => network.call(addr, method, args, options),
    }),
  };
}

/** All that can be broken; each call of one is for one run. */
export const SABOTAGES = { withoutFence, withLostWrites, withForgottenEvents, withoutRequestIds } as const;
