import type { Clock } from '@swarmd/model';
import type { AgentMessage, ManagerMessage } from '@swarmd/wire';
import type { Dice } from './dice.js';
import { ServerCall } from './server-call.js';

/** A message's body, as either side sends it. */
export type AgentBody = NonNullable<AgentMessage['body']>;
/** A message's body, as either side sends it. */
export type ManagerBody = NonNullable<ManagerMessage['body']>;

/** The agent's end of a session. */
export interface Link {
  send(body: AgentBody): void;
  /** Breaks it: what is under way is lost. When not `noticed`, the manager only hears nothing any more. */
  cut(noticed: boolean): void;
}

/** What an agent hears over its link. */
export interface LinkListener {
  onMessage(body: ManagerBody): void;
  onEnd(): void;
}

/** Delays are multiples of this, so that things coincide as they do under load. */
const GRAIN_MS = 5;
const MAX_DELAY_GRAINS = 12;

/**
 * A session from `nodeId` to a manager's `serve`: messages take a while, in order within a session; between sessions in
 * any order.
 */
export function openLink(
  { clock, dice }: { clock: Clock; dice: Dice },
  nodeId: string,
  serve: (end: ServerCall) => void,
  listener: LinkListener,
): Link {
  let open = true;
  const lane = (): ((deliver: () => void) => void) => {
    let last = 0;
    return (deliver) => {
      last = Math.max(last, clock.monotonic() + GRAIN_MS * dice.int(0, MAX_DELAY_GRAINS));
      clock.after(last - clock.monotonic(), () => {
        if (open) deliver();
      });
    };
  };
  const [up, down] = [lane(), lane()];
  const close = (): void => {
    if (!open) return;
    open = false;
    listener.onEnd();
  };
  const server = new ServerCall(
    { nodeId, role: 'worker' },
    undefined,
    (message) => down(() => listener.onMessage((message as ManagerMessage).body!)),
    () => down(close),
  );
  up(() => serve(server));
  return {
    send: (body) => up(() => server.deliver({ body })),
    cut: (noticed) => {
      if (!open) return;
      open = false;
      if (noticed) server.cancelled();
    },
  };
}
