import { EventEmitter } from 'node:events';
import type { Clock } from '@swarmd/model';
import type { AgentMessage, ManagerMessage } from '@swarmd/wire';
import type { Dice } from './dice.js';

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

/** The manager's end: as much of a gRPC stream as the dispatcher uses. */
export class ServerEnd extends EventEmitter {
  readonly #nodeId: string;
  readonly #write: (message: ManagerMessage) => void;
  readonly #ended: () => void;
  #paused = false;
  #held: AgentMessage[] = [];

  constructor(nodeId: string, write: (message: ManagerMessage) => void, ended: () => void) {
    super();
    this.#nodeId = nodeId;
    this.#write = write;
    this.#ended = ended;
    this.on('error', ended);
  }

  getPeer(): string {
    return '10.0.0.1:1';
  }

  getAuthContext(): unknown {
    const subject = { CN: this.#nodeId, OU: 'swarm-worker', O: 'simulated' };
    return { sslPeerCertificate: { subject, valid_to: 'Dec 31 2099 00:00:00 GMT', raw: Buffer.alloc(0) } };
  }

  write(message: ManagerMessage): boolean {
    this.#write(message);
    return true;
  }

  end(): void {
    this.#ended();
  }

  destroy(): void {
    this.#ended();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.deliver(message);
  }

  deliver(message: AgentMessage): void {
    if (this.#paused) this.#held.push(message);
    else this.emit('data', message);
  }
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
  serve: (end: ServerEnd) => void,
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
  const server = new ServerEnd(
    nodeId,
    ({ body }) => down(() => listener.onMessage(body!)),
    () => down(close),
  );
  up(() => serve(server));
  return {
    send: (body) => up(() => server.deliver({ body })),
    cut: (noticed) => {
      if (!open) return;
      open = false;
      if (noticed) server.emit('cancelled');
    },
  };
}
