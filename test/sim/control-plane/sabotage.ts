import type { ManagerNetwork } from '@swarmd/manager';
import {
  type Clock,
  isErrorCode,
  type LogEntry,
  type LogEvent,
  type NodeNetworks,
  type SharedLog,
} from '@swarmd/model';
import { type ManagerMessage, NetworkEndpoint_Phase } from '@swarmd/wire';
import type { AgentWorld, Heard } from './agent-host.js';

/** A part that is broken on purpose. */
export interface Sabotage {
  log?: (log: SharedLog) => SharedLog;
  calls?: (network: ManagerNetwork) => ManagerNetwork;
  agent?: AgentWorld['sabotage'];
  /** In place of the allocator's clock. */
  allocatorClock?: (clock: Clock) => Clock;
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

/** Tasks go on as soon as they are told to: nobody is waited for. */
function withoutGates(): Sabotage {
  const heard: Heard = (message, hear) => {
    hear(message);
    const { body } = message as ManagerMessage;
    if (body?.$case !== 'assignments') return;
    for (const { item, remove } of body.value.changes) {
      if (item?.$case !== 'task' || remove) continue;
      for (const phase of [NetworkEndpoint_Phase.PHASE_RESERVED, NetworkEndpoint_Phase.PHASE_DRAINING])
        hear({ body: { $case: 'endpointSettled', value: { taskId: item.value.id, phase } } });
    }
  };
  return { agent: { heard } };
}

/** Every so many updates of endpoints one is not heard. */
function withLostUpdates(): Sabotage {
  let updates = 0;
  const heard: Heard = (message, hear) => {
    const { body } = message as ManagerMessage;
    if (body?.$case !== 'endpoints' || ++updates % 50 !== 0) hear(message);
  };
  return { agent: { heard } };
}

/** What swarmd-net is told is said to be done before it is. */
function withHastyAcknowledgements(): Sabotage {
  const nodeNetworks = (real: NodeNetworks): NodeNetworks => ({
    ...real,
    changeEndpoints: async (changes) => {
      real.changeEndpoints(changes).catch(() => {});
    },
  });
  return { agent: { nodeNetworks } };
}

/** Addresses are given again as soon as nobody has them. */
function withoutRest(): Sabotage {
  return {
    allocatorClock: (clock) => ({ ...clock, now: () => 1_000 * clock.now() }),
  };
}

/** All that can be broken; each call of one is for one run. */
export const SABOTAGES = {
  ...{ withoutFence, withLostWrites, withForgottenEvents, withoutRequestIds },
  ...{ withoutGates, withLostUpdates, withHastyAcknowledgements, withoutRest },
} as const;
