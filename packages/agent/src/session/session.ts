import { type Clock, SwarmdError } from '@swarmd/model';
import {
  type AgentMessage,
  type DispatcherClient,
  fromGrpcError,
  isConnected,
  type ManagerMessage,
  type Register,
  type Welcome,
} from '@swarmd/wire';
import type { Logger } from 'pino';

/**
 * A manager that leaves a heartbeat unanswered for this many periods, within these bounds, is given up: a host that lost
 * power says nothing, and the cluster waits for this node not much longer.
 */
const SILENT_PERIODS = 2.5;
const SILENT_MS = { min: 2_500, max: 5_000 } as const;
/** After a stall of our own, what came in meanwhile is read within this time. */
const LAST_LOOK_MS = 200;
/** A manager that cannot be connected to within this time is given up: others may be there. */
const CONNECT_TIMEOUT_MS = 3_000;
/** What the last message has to get out in before the channel is closed under it. */
const GOODBYE_TIMEOUT_MS = 2_000;
/** A manager may first have to reach the index that this node has seen. */
const WELCOME_TIMEOUT_MS = 30_000;

/** What the owner of a session does with it. */
export interface SessionHandlers {
  /** The manager knows us. */
  onWelcome(welcome: Welcome): void;
  /** Everything else that it says, heartbeats apart. */
  onMessage(body: NonNullable<ManagerMessage['body']>): void;
}

/** An open session. */
export interface Session {
  send(body: NonNullable<AgentMessage['body']>): void;
  /** Ends the session on this side, for the reason given. */
  end(reason: SwarmdError): void;
  /** Rejects when the session is over, with why. */
  readonly over: Promise<never>;
}

/**
 * Opens a session: registers, beats its heart at the manager's pace from the moment it is welcome, and passes on what the
 * manager says, in order. `signal` ends it with a goodbye: back within `backWithinMs()`, 0 for never.
 */
export function openSession(
  deps: { client: DispatcherClient; register: Register; backWithinMs: () => number; clock: Clock; logger: Logger },
  handlers: SessionHandlers,
  signal: AbortSignal,
): Session {
  const { client, clock } = deps;
  const call = client.session();
  let over = false;
  let leaving = false;
  let fail: (reason: SwarmdError) => void = () => {};
  const ended = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  let cancelBeat = () => {};
  let periodMs = 0;
  let cancelTimeout = clock.after(CONNECT_TIMEOUT_MS, () => {
    if (!isConnected(client)) end(new SwarmdError('unavailable', 'the manager could not be reached in time'));
    else cancelTimeout = clock.after(WELCOME_TIMEOUT_MS - CONNECT_TIMEOUT_MS, () => end(late('register')));
  });

  const send: Session['send'] = (body) => {
    if (!over && !leaving) call.write({ body });
  };
  const finish = (reason: SwarmdError): void => {
    if (over) return;
    over = true;
    cancelBeat();
    cancelTimeout();
    signal.removeEventListener('abort', goodbye);
    fail(reason);
  };
  const end = (reason: SwarmdError): void => {
    if (over) return;
    finish(reason);
    call.cancel();
  };
  const goodbye = (): void => {
    send({ $case: 'goodbye', value: { backWithinMs: deps.backWithinMs() } });
    call.end();
    leaving = true;
    cancelTimeout();
    cancelTimeout = clock.after(GOODBYE_TIMEOUT_MS, () => end(new SwarmdError('aborted', 'swarmd stops')));
  };
  const beat = (): void => {
    send({ $case: 'heartbeat', value: { clockMs: clock.now() } });
    cancelTimeout = clock.after(silenceMs(periodMs) - LAST_LOOK_MS, () => {
      cancelTimeout = clock.after(LAST_LOOK_MS, () => end(late('heartbeat')));
    });
  };

  call.on('data', (message: ManagerMessage) => {
    const { body } = message;
    if (over || leaving || body === undefined) return;
    try {
      if (body.$case === 'welcome') {
        cancelTimeout();
        periodMs = body.value.heartbeatPeriodMs;
        handlers.onWelcome(body.value);
        beat();
      } else if (body.$case === 'heartbeat') {
        cancelTimeout();
        cancelBeat();
        periodMs = body.value.heartbeatPeriodMs;
        cancelBeat = clock.after(periodMs, beat);
      } else handlers.onMessage(body);
    } catch (thrown) {
      // A message that cannot be taken must not take swarmd down with it.
      deps.logger.error({ err: thrown, message: body.$case }, 'a message of the manager could not be taken');
      end(new SwarmdError('internal', `a message could not be taken: ${body.$case}`, { cause: thrown }));
    }
  });
  call.on('error', (error: Error) => finish(fromGrpcError(error)));
  call.on('end', () => {
    finish(new SwarmdError('unavailable', 'the manager ended the session'));
    call.end();
  });
  signal.addEventListener('abort', goodbye, { once: true });
  send({ $case: 'register', value: deps.register });
  return { send, end, over: ended };
}

/** How long a manager may leave a heartbeat unanswered. */
function silenceMs(periodMs: number): number {
  return Math.min(SILENT_MS.max, Math.max(SILENT_MS.min, SILENT_PERIODS * periodMs));
}

function late(what: string): SwarmdError {
  return new SwarmdError('deadline-exceeded', `the manager did not answer a ${what} in time`);
}
