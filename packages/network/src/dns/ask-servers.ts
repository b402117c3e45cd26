import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { isIPv6, Socket } from 'node:net';
import type { Clock } from '@swarmd/model';
import type { Namespaces } from '../parts.js';
import { MessageReader, tcpMessage } from './tcp-messages.js';
import type { Upstream } from './upstreams.js';
import { answersQuestion, passOn, type Query, RCODE } from './wire.js';

/** How long one server is waited for before the next is asked as well, in milliseconds. */
const NEXT_SERVER_MS = 1000;
/** How long an answer over TCP is waited for, in milliseconds. */
const TCP_MS = 1500;
/** All in all, in milliseconds: Docker's embedded server, which asks for the container, gives up after 4,000. */
const GIVE_UP_MS = 3500;

/** What {@link askServers} needs beyond the question. */
export interface AskDeps {
  clock: Clock;
  /** The ID to send it under. */
  id: number;
  /** Port of the servers. */
  port: number;
  /** Opens the sockets of servers that are asked from a namespace. */
  socket: Namespaces['socket'];
}

/**
 * Asks `servers` (at least one) in turn: the next when one fails at once or has not answered within a second, round and
 * round; the first good answer of any wins. One that is truncated is asked for again over TCP. Calls `done` once and
 * later: with an answer made for `query`, or with nothing when none gave one in 3.5 seconds. The returned function gives
 * up early, without a call.
 */
export function askServers(
  query: Query,
  servers: readonly Upstream[],
  deps: AskDeps,
  done: (answer: Buffer | undefined) => void,
): () => void {
  const round = new Round(query, servers, deps, done);
  round.next();
  return () => round.stop();
}

class Round {
  readonly #query: Query;
  readonly #servers: readonly Upstream[];
  readonly #deps: AskDeps;
  readonly #done: (answer: Buffer | undefined) => void;
  readonly #packet: Buffer;
  readonly #sockets = new Map<number, DatagramSocket>();
  readonly #failed = new Set<number>();
  readonly #closing: (() => void)[] = [];
  #cancelNext = () => {};
  #current = -1;
  #over = false;
  #overTcp = false;

  constructor(query: Query, servers: readonly Upstream[], deps: AskDeps, done: (answer: Buffer | undefined) => void) {
    this.#query = query;
    this.#servers = servers;
    this.#deps = deps;
    this.#done = done;
    this.#packet = Buffer.from(query.packet);
    this.#packet.writeUInt16BE(deps.id, 0);
    this.#closing.push(deps.clock.after(GIVE_UP_MS, () => this.#finish(undefined)));
  }

  next(): void {
    this.#cancelNext();
    if (this.#failed.size === this.#servers.length) {
      this.#finish(undefined);
      return;
    }
    do this.#current = (this.#current + 1) % this.#servers.length;
    while (this.#failed.has(this.#current));
    this.#cancelNext = this.#deps.clock.after(NEXT_SERVER_MS, () => this.next());
    this.#send(this.#current);
  }

  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelNext();
    for (const close of this.#closing) close();
    for (const socket of this.#sockets.values()) socket.close();
  }

  #finish(answer: Buffer | undefined): void {
    if (this.#over) return;
    this.stop();
    this.#done(answer);
  }

  #fail(server: number): void {
    if (this.#over || this.#failed.has(server)) return;
    this.#failed.add(server);
    if (server === this.#current && !this.#overTcp) this.next();
  }

  #send(server: number): void {
    const open = this.#sockets.get(server);
    if (open !== undefined) {
      open.send(this.#packet, (error) => error && this.#fail(server));
      return;
    }
    const { address, from } = this.#servers[server]!;
    // A socket a question: its port is as hard to guess as its ID, and a refusal (ICMP) reaches the question it is for.
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: noLookup });
    this.#sockets.set(server, socket);
    socket.on('error', () => this.#fail(server));
    socket.on('message', (answer) => this.#received(server, answer));
    if (from !== undefined) {
      try {
        socket.bind({ fd: this.#deps.socket(from.namespace, 'udp', from.address, 0), exclusive: true });
      } catch {
        // The container has gone.
        queueMicrotask(() => this.#fail(server));
        return;
      }
    }
    socket.connect(this.#deps.port, address, () => {
      if (!this.#over) socket.send(this.#packet, (error) => error && this.#fail(server));
    });
  }

  #received(server: number, answer: Buffer): void {
    const isAnswer = (message: Buffer): boolean => answersQuestion(message, this.#query, this.#deps.id);
    if (this.#over || this.#overTcp || !isAnswer(answer)) return;
    const rcode = answer[3]! & 0x0f;
    if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) {
      this.#fail(server);
      return;
    }
    if ((answer[2]! & 0x02) === 0) {
      this.#finish(passOn(this.#query, answer));
      return;
    }
    this.#overTcp = true;
    this.#cancelNext();
    // What fitted is better than nothing when TCP is closed.
    const complete = (whole: Buffer | undefined): void => this.#finish(passOn(this.#query, whole ?? answer));
    this.#closing.push(askTcp(this.#servers[server]!, this.#deps, this.#packet, isAnswer, complete));
    this.#closing.push(this.#deps.clock.after(TCP_MS, () => complete(undefined)));
  }
}

function askTcp(
  { address, from }: Upstream,
  { port, socket: open }: AskDeps,
  packet: Buffer,
  isAnswer: (message: Buffer) => boolean,
  done: (answer: Buffer | undefined) => void,
): () => void {
  let socket: Socket;
  try {
    socket = from === undefined ? new Socket() : new Socket(unconnected(open(from.namespace, 'tcp', from.address, 0)));
  } catch {
    queueMicrotask(() => done(undefined));
    return () => {};
  }
  const reader = new MessageReader();
  socket.on('error', () => done(undefined));
  socket.on('close', () => done(undefined));
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let message = reader.next(); message !== undefined; message = reader.next()) {
      if (isAnswer(message)) done(message);
    }
  });
  socket.connect({ host: address, port });
  socket.write(tcpMessage(packet));
  return () => socket.destroy();
}

/** Nothing is read from it before it is connected. */
function unconnected(fd: number) {
  return { fd, readable: true, writable: true, manualStart: true };
}

/** Addresses need no look-up; Node would go through its own for each. */
export function noLookup(
  address: string,
  options: unknown,
  found: (error: null, address: string, family: number) => void,
): void {
  void options;
  found(null, address, isIPv6(address) ? 6 : 4);
}
