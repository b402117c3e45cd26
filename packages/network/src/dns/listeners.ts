import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createServer, isIPv6, type Socket } from 'node:net';
import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';
import { noLookup } from './ask-servers.js';
import { MessageReader, tcpMessage } from './tcp-messages.js';

/** TCP connections of one network at a time. */
export const MAX_CONNECTIONS = 128;
/** TCP connections of one container at a time: more are closed at once. */
export const MAX_CONNECTIONS_OF_ADDRESS = 16;
/** Unanswered questions of one connection: no more are read until some are answered. */
const MAX_PENDING = 32;
/** How long a connection may go without a whole question, in milliseconds. */
export const IDLE_MS = 10_000;
/** Answers that a client has not taken, in octets: it is cut off beyond. */
const MAX_UNSENT_BYTES = 512 * 1024;
/** Answers over UDP that the kernel has not taken yet, in octets: more are dropped, as the network would. */
const MAX_UNSENT_UDP_BYTES = 1024 * 1024;

/** What answers: calls `reply` once, with nothing for what deserves no answer. */
export type Handler = (packet: Buffer, address: string, reply: (answer: Buffer | undefined) => void) => void;

/** An open socket. */
export interface Listener {
  close(): Promise<void>;
}

/** Answers over the UDP socket `fd`, which it closes in the end; also when it fails with an Error. */
export async function serveUdp(fd: number, address: string, handle: Handler, logger: Logger): Promise<Listener> {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: noLookup });
  let closed = false;
  socket.on('message', (packet, from) => {
    handle(packet, from.address, (answer) => {
      if (answer === undefined || closed || socket.getSendQueueSize() > MAX_UNSENT_UDP_BYTES) return;
      socket.send(answer, from.port, from.address, () => {});
    });
  });
  await adopt(socket, fd, () => socket.bind({ fd, exclusive: true }));
  socket.on('error', (err) => logger.warn({ err, address }, 'DNS over UDP: the socket has an error'));
  return {
    close: async () => {
      closed = true;
      const ended = once(socket, 'close');
      socket.close();
      await ended;
    },
  };
}

/** Answers over the listening TCP socket `fd`, which it closes in the end; also when it fails with an Error. */
export async function serveTcp(fd: number, handle: Handler, clock: Clock, logger: Logger): Promise<Listener> {
  const clients = new Set<Socket>();
  const byAddress = new Map<string, number>();
  const server = createServer((socket) => {
    const address = socket.remoteAddress ?? '';
    const count = byAddress.get(address) ?? 0;
    if (count >= MAX_CONNECTIONS_OF_ADDRESS) return void socket.destroy();
    byAddress.set(address, count + 1);
    clients.add(socket);
    socket.on('close', () => {
      clients.delete(socket);
      const left = (byAddress.get(address) ?? 1) - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    serveClient(socket, address, handle, clock);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await adopt(server, fd, () => server.listen({ fd, exclusive: true }));
  server.on('error', (err) => logger.warn({ err }, 'DNS over TCP: the socket has an error'));
  return {
    close: async () => {
      const ended = once(server, 'close');
      server.close();
      for (const client of clients) client.destroy();
      await ended;
    },
  };
}

function serveClient(socket: Socket, address: string, handle: Handler, clock: Clock): void {
  const reader = new MessageReader();
  let pending = 0;
  let ended = false;
  const expire = (): (() => void) => clock.after(IDLE_MS, () => socket.destroy());
  let cancelIdle = expire();
  const read = (): void => {
    while (pending < MAX_PENDING) {
      const packet = reader.next();
      if (packet === undefined) break;
      cancelIdle();
      cancelIdle = expire();
      pending++;
      handle(packet, address, (answer) => replied(answer));
    }
    if (pending >= MAX_PENDING) socket.pause();
    else if (socket.isPaused()) socket.resume();
    if (ended && pending === 0) socket.end();
  };
  let reading = false;
  const readOn = (): void => {
    // Answers that come at once would read from within reading.
    if (reading) return;
    reading = true;
    read();
    reading = false;
  };
  const replied = (answer: Buffer | undefined): void => {
    pending--;
    if (socket.destroyed) return;
    if (answer !== undefined) socket.write(tcpMessage(answer));
    if (socket.writableLength > MAX_UNSENT_BYTES) return void socket.destroy();
    readOn();
  };
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    readOn();
  });
  socket.on('end', () => {
    ended = true;
    readOn();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => cancelIdle());
}

async function adopt(
  opened: { once(event: string, listener: (error: Error) => void): unknown; close(): unknown },
  fd: number,
  start: () => void,
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      opened.once('error', reject);
      opened.once('listening', () => resolve());
      start();
    });
  } catch (error) {
    // It was not taken over: nobody else closes it.
    closeSync(fd);
    throw error;
  }
}
