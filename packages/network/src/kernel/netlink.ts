import { closeSync, readSync, writeSync } from 'node:fs';
import { SwarmdError } from '@swarmd/model';
import { type SystemCalls, succeeded } from './syscalls.js';

/**
 * An answer's fixed part and its attributes, by number: the last one where there are several. Holds until the next is
 * read.
 */
export interface NetlinkRecord {
  header: Buffer;
  attributes: ReadonlyMap<number, Buffer>;
}

/** Asks of the kernel in the form of rtnetlink(7): what to list, and how long the fixed part of each answer is. */
export interface NetlinkQuery {
  type: number;
  /** First byte of the fixed part. */
  family: number;
  headerBytes: number;
  /** After the fixed part: attributes by number, each a text. */
  only?: ReadonlyMap<number, string>;
}

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST_DUMP = 0x301;
const NLM_F_DUMP_INTR = 0x10;
const MESSAGE_HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
const RECEIVE_BYTES = 64 * 1024;
/** A listing during which something changed may lack what did not; it is asked for again. */
const MAX_ATTEMPTS = 20;

/** What {@link openNetlink} speaks to: links and addresses, or the firewall. */
export const NETLINK_PROTOCOLS = { route: 0, netfilter: 12 } as const;

/** A socket for {@link list}, of the namespace that this thread is in; whoever opened it closes it. */
export function openNetlink(calls: SystemCalls, protocol: number): number {
  return succeeded(calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'open a netlink socket');
}

/** What `convert` makes of all that the kernel lists for a query, whole; `unavailable` when it changes all the time. */
export function list<T>(fd: number, query: NetlinkQuery, convert: (record: NetlinkRecord) => T): T[] {
  const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    writeSync(fd, request(query, attempt));
    const results: T[] = [];
    const whole = receive(fd, buffer, attempt, query, (body) => results.push(convert(recordOf(body, query))));
    if (whole) return results;
  }
  throw new SwarmdError('unavailable', `the kernel's tables change too fast to be listed (${query.type})`);
}

function request({ type, family, headerBytes, only = new Map() }: NetlinkQuery, sequence: number): Buffer {
  const fixed = Buffer.alloc(MESSAGE_HEADER_BYTES + aligned(headerBytes));
  const bytes = Buffer.concat([fixed, ...[...only].map(([attribute, text]) => attributeOf(attribute, text))]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST_DUMP, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes[MESSAGE_HEADER_BYTES] = family;
  return bytes;
}

/** Reads all answers to one request; whether the listing was not disturbed. */
function receive(
  fd: number,
  buffer: Buffer,
  sequence: number,
  query: NetlinkQuery,
  take: (body: Buffer) => void,
): boolean {
  let disturbed = false;
  for (;;) {
    const size = readSync(fd, buffer);
    for (let at = 0; at + MESSAGE_HEADER_BYTES <= size; ) {
      const length = buffer.readUInt32LE(at);
      const type = buffer.readUInt16LE(at + 4);
      if (length < MESSAGE_HEADER_BYTES || at + length > size) break;
      if (buffer.readUInt32LE(at + 8) === sequence) {
        if ((buffer.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) !== 0) disturbed = true;
        if (type === NLMSG_DONE) return !disturbed;
        const body = buffer.subarray(at + MESSAGE_HEADER_BYTES, at + length);
        if (type === NLMSG_ERROR) succeeded(body.readInt32LE(0), `list the kernel's tables (${query.type})`);
        else take(body);
      }
      at += aligned(length);
    }
  }
}

function recordOf(body: Buffer, { headerBytes }: NetlinkQuery): NetlinkRecord {
  return { header: body.subarray(0, headerBytes), attributes: attributesOf(body.subarray(headerBytes)) };
}

/** Attributes one after another, as in an answer and in attributes that hold further ones. */
export function attributesOf(bytes: Buffer | undefined): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  if (!bytes) return attributes;
  for (let at = 0; at + ATTRIBUTE_HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) break;
    // The two highest bits only say how the value is written.
    attributes.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return attributes;
}

function attributeOf(attribute: number, text: string): Buffer {
  const value = `${text}\0`;
  const bytes = Buffer.alloc(aligned(ATTRIBUTE_HEADER_BYTES + value.length));
  bytes.writeUInt16LE(ATTRIBUTE_HEADER_BYTES + value.length, 0);
  bytes.writeUInt16LE(attribute, 2);
  bytes.write(value, ATTRIBUTE_HEADER_BYTES, 'latin1');
  return bytes;
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** Runs `read` with a socket that `open` has opened, and closes it. */
export function withNetlink<T>(open: () => number, read: (fd: number) => T): T {
  const fd = open();
  try {
    return read(fd);
  } finally {
    closeSync(fd);
  }
}
