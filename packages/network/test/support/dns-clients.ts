import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type DecodedPacket, decode, encode, type Packet, type RecordType } from 'dns-packet';
import { MessageReader, tcpMessage } from '../../src/dns/tcp-messages.js';
import type { TestNamespaces } from './netns.js';

/** An answer: what `dns-packet` leaves out of its type is in it. */
export type Reply = DecodedPacket & { rcode: string; bytes: Buffer };

/** A question; with `size` in its OPT record. Its ID is above those that tests number themselves. */
export function question(name: string, type: RecordType = 'A', size?: number): Packet & { id: number } {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: size, flags: 0, ednsVersion: 0, extendedRcode: 0, options: [] };
  return {
    id: 2_000 + Math.floor(Math.random() * 63_536),
    type: 'query',
    flags: 0x0100,
    questions: [{ name, type }],
    additionals: size === undefined ? [] : [opt as never],
  };
}

export function parse(bytes: Buffer): Reply {
  return { ...(decode(bytes) as Reply), bytes };
}

export function dataOf(reply: Reply): unknown[] {
  return reply.answers!.map((answer) => (answer as { data?: unknown }).data);
}

/** A container that asks over UDP. */
export interface UdpClient {
  send(bytes: Buffer): void;
  /** Sends `packet` and resolves with its answer. */
  ask(packet: Packet): Promise<Reply>;
  close(): Promise<void>;
}

export async function udpClient(
  namespaces: TestNamespaces,
  path: string,
  source: string,
  server: string,
): Promise<UdpClient> {
  const socket = createSocket(source.includes(':') ? 'udp6' : 'udp4');
  const listening = once(socket, 'listening');
  socket.bind({ fd: namespaces.socket(path, 'udp', source, 0), exclusive: true });
  await listening;
  const waiting = new Map<number, (reply: Reply) => void>();
  socket.on('message', (bytes) => {
    const reply = parse(bytes);
    waiting.get(reply.id!)?.(reply);
    waiting.delete(reply.id!);
  });
  return {
    send: (bytes) => socket.send(bytes, 53, server),
    ask: (packet) =>
      new Promise((resolve) => {
        waiting.set(packet.id!, resolve);
        socket.send(encode(packet), 53, server);
      }),
    close: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

/** Reads `count` answers from a TCP connection, in the order in which they come. */
export function readReplies(socket: Socket, count: number): Promise<Reply[]> {
  const reader = new MessageReader();
  const replies: Reply[] = [];
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${replies.length} answers`)));
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next()) replies.push(parse(message));
      if (replies.length >= count) resolve(replies);
    });
  });
}

export function messages(...packets: Packet[]): Buffer {
  return Buffer.concat(packets.map((packet) => tcpMessage(encode(packet))));
}

/** What a server of the world does with a question: answers bytes, or is silent. */
export type Behaviour = (asked: Reply, via: 'udp' | 'tcp') => Packet | Buffer | undefined;

/** A name server on port 53 of a loopback address of the host, or inside a namespace. */
export interface WorldServer {
  address: string;
  /** What it was asked, and over what. */
  asked: { name: string; via: 'udp' | 'tcp' }[];
  behave: Behaviour;
  /** Resolves once `count` questions have come, from the beginning. */
  until(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function worldServer(
  behave: Behaviour,
  tcp = true,
  inside?: { namespaces: TestNamespaces; path: string; address: string },
): Promise<WorldServer> {
  const byte = (): number => 1 + Math.floor(Math.random() * 250);
  const address = inside?.address ?? `127.${byte()}.${byte()}.${byte()}`;
  const waiting = new Set<() => void>();
  const server: Omit<WorldServer, 'close'> = {
    address,
    asked: [],
    behave,
    until: async (count) => {
      while (server.asked.length < count) await new Promise<void>((resolve) => waiting.add(resolve));
    },
  };
  const treat = (bytes: Buffer, via: 'udp' | 'tcp'): Buffer | undefined => {
    const asked = parse(bytes);
    server.asked.push({ name: asked.questions![0]!.name, via });
    for (const resolve of waiting) resolve();
    waiting.clear();
    const answer = server.behave(asked, via);
    return answer === undefined || Buffer.isBuffer(answer) ? answer : encode(answer);
  };
  const udp: UdpSocket = createSocket('udp4');
  udp.on('message', (bytes, from) => {
    const answer = treat(bytes, 'udp');
    if (answer !== undefined) udp.send(answer, from.port, from.address);
  });
  const listening = once(udp, 'listening');
  if (inside === undefined) udp.bind(53, address);
  else udp.bind({ fd: inside.namespaces.listen(inside.path, 'udp', address, 53), exclusive: true });
  await listening;
  const clients = new Set<Socket>();
  const listener = createServer((socket) => {
    clients.add(socket);
    const reader = new MessageReader();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next()) {
        const answer = treat(message, 'tcp');
        if (answer !== undefined) socket.write(tcpMessage(answer));
      }
    });
  });
  if (tcp) {
    if (inside === undefined) listener.listen(53, address);
    else listener.listen({ fd: inside.namespaces.listen(inside.path, 'tcp', address, 53), exclusive: true });
    await once(listener, 'listening');
  }
  return Object.assign(server, {
    close: async () => {
      for (const client of clients) client.destroy();
      if (tcp) listener.close();
      udp.close();
      await once(udp, 'close');
    },
  });
}

/** The answer of an ordinary server: `addresses` for the name that it was asked. */
export function worldAnswer(asked: Reply, addresses: readonly string[], flags = 0x0180): Packet {
  const name = asked.questions![0]!.name.toLowerCase();
  return {
    id: asked.id!,
    type: 'response',
    flags,
    questions: [{ ...asked.questions![0]!, name }],
    answers: addresses.map((data) => ({ type: 'A' as const, name, ttl: 60, data })),
  };
}
