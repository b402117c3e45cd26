import { closeSync, readSync, writeSync } from 'node:fs';
import { SwarmdError } from '@swarmd/model';
import { type SystemCalls, succeeded } from './syscalls.js';

/** An answer's fixed part and its attributes, by number: the last one where there are several. */
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

/** A socket for {@link list}, of the namespace that this thread is in; whoever opened it closes it. */
export function openNetlink(calls: SystemCalls): number {
  return succeeded(calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), 'open a netlink socket');
}

/** All that the kernel lists for a query, whole; `unavailable` when it changes all the time. */
export function list(fd: number, query: NetlinkQuery): NetlinkRecord[] {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    writeSync(fd, request(query, attempt));
    const records = receive(fd, query, attempt);
    if (records) return records;
  }
  throw new SwarmdError('unavailable', `the kernel's tables change too fast to be listed (${query.type})`);
}

function request({ type, family, headerBytes }: NetlinkQuery, sequence: number): Buffer {
  const bytes = Buffer.alloc(MESSAGE_HEADER_BYTES + headerBytes);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST_DUMP, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes[MESSAGE_HEADER_BYTES] = family;
  return bytes;
}

/** The answers to one request; `undefined` when the listing was disturbed. */
function receive(fd: number, query: NetlinkQuery, sequence: number): NetlinkRecord[] | undefined {
  const records: NetlinkRecord[] = [];
  let disturbed = false;
  for (;;) {
    const buffer = Buffer.alloc(RECEIVE_BYTES);
    const size = readSync(fd, buffer);
    for (let at = 0; at + MESSAGE_HEADER_BYTES <= size; ) {
      const length = buffer.readUInt32LE(at);
      const type = buffer.readUInt16LE(at + 4);
      if (length < MESSAGE_HEADER_BYTES || at + length > size) break;
      if (buffer.readUInt32LE(at + 8) === sequence) {
        if ((buffer.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) !== 0) disturbed = true;
        if (type === NLMSG_DONE) return disturbed ? undefined : records;
        const body = buffer.subarray(at + MESSAGE_HEADER_BYTES, at + length);
        if (type === NLMSG_ERROR) succeeded(body.readInt32LE(0), `list the kernel's tables (${query.type})`);
        else records.push(record(body, query.headerBytes));
      }
      at += aligned(length);
    }
  }
}

function record(body: Buffer, headerBytes: number): NetlinkRecord {
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
