import { EventEmitter } from 'node:events';

/** The callee's end of a simulated gRPC call: as much of one as the services use. */
export class ServerCall extends EventEmitter {
  readonly request: unknown;
  readonly #nodeId: string;
  readonly #role: 'manager' | 'worker';
  readonly #write: (message: unknown) => void;
  readonly #ended: (error: Error | undefined) => void;
  #paused = false;
  #over = false;
  #held: unknown[] = [];

  constructor(
    peer: { nodeId: string; role: 'manager' | 'worker' },
    request: unknown,
    write: (message: unknown) => void,
    ended: (error: Error | undefined) => void,
  ) {
    super();
    this.request = request;
    this.#nodeId = peer.nodeId;
    this.#role = peer.role;
    this.#write = write;
    this.#ended = ended;
    this.on('error', (error: Error) => this.#finish(error));
  }

  getPeer(): string {
    return '10.0.0.1:1';
  }

  getAuthContext(): unknown {
    const subject = { CN: this.#nodeId, OU: `swarm-${this.#role}`, O: 'simulated' };
    return { sslPeerCertificate: { subject, valid_to: 'Dec 31 2099 00:00:00 GMT', raw: Buffer.alloc(0) } };
  }

  write(message: unknown): boolean {
    if (!this.#over) this.#write(message);
    return true;
  }

  end(): void {
    this.#finish(undefined);
  }

  destroy(): void {
    this.#finish(undefined);
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

  deliver(message: unknown): void {
    if (this.#paused) this.#held.push(message);
    else this.emit('data', message);
  }

  /** The caller has gone. */
  cancelled(): void {
    this.#over = true;
    this.emit('cancelled');
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#ended(error);
  }
}
