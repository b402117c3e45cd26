import type { ServerDuplexStream } from '@grpc/grpc-js';
import { type Clock, SwarmdError } from '@swarmd/model';
import { type AgentMessage, type ManagerMessage, toGrpcStatus } from '@swarmd/wire';

/** Replies that may wait for a slow agent before its session is ended. */
const MAX_WAITING_REPLIES = 1_000;
/** How long an agent may leave what was sent to it unread. */
const STALL_MS = 30_000;

/** The gRPC stream of one session. */
export type SessionCall = ServerDuplexStream<AgentMessage, ManagerMessage>;

/** A message's body, as {@link SessionStream.send} takes it. */
export type ManagerBody = NonNullable<ManagerMessage['body']>;

/** The sending side of a session: bounded, whatever the agent does. */
export interface SessionStream {
  readonly open: boolean;
  /** Whether what is sent now goes out at once. State (assignments, cluster) is only computed when it does. */
  readonly writable: boolean;
  /** Sends, or keeps until the agent reads again. Ends the session when too much waits. */
  send(body: ManagerBody): void;
  /** Ends the session; with an error, the agent is told. */
  end(error?: SwarmdError): void;
}

/**
 * Wraps the stream of a session. `onWritable` is called when an agent that did not read has caught up; `onClose` once,
 * when the stream has ended for whatever reason.
 */
export function createSessionStream(
  call: SessionCall,
  { clock, onWritable, onClose }: { clock: Clock; onWritable: () => void; onClose: () => void },
): SessionStream {
  let waiting: ManagerBody[] = [];
  let blocked = false;
  let open = true;
  let cancelStall = (): void => {};

  const close = (): void => {
    if (!open) return;
    open = false;
    waiting = [];
    cancelStall();
    onClose();
  };
  const end = (error?: SwarmdError): void => {
    if (!open) return;
    close();
    if (error === undefined) call.end();
    else call.emit('error', toGrpcStatus(error));
  };
  const write = (body: ManagerBody): void => {
    if (call.write({ body })) return;
    blocked = true;
    const late = (): void => end(new SwarmdError('unavailable', `nothing was read for ${STALL_MS / 1000} s`));
    cancelStall = clock.after(STALL_MS, late);
  };
  call.on('drain', () => {
    blocked = false;
    cancelStall();
    while (open && !blocked && waiting.length > 0) write(waiting.shift()!);
    if (open && !blocked) onWritable();
  });
  call.on('cancelled', close);
  call.on('end', () => end());
  call.on('error', close);
  call.on('close', close);

  return {
    get open() {
      return open;
    },
    get writable() {
      return open && !blocked;
    },
    send: (body) => {
      if (!open) return;
      if (!blocked) write(body);
      else if (waiting.length < MAX_WAITING_REPLIES) waiting.push(body);
      else end(new SwarmdError('unavailable', 'the agent does not read what it is sent'));
    },
    end,
  };
}
