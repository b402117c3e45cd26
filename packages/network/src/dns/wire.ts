import { type Answer, decode, encode } from 'dns-packet';

/** Record types that this server answers itself, by number. */
export const RECORD_TYPE = { A: 1, PTR: 12, AAAA: 28, IXFR: 251, AXFR: 252, ANY: 255 } as const;

/** Response codes, by number. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Octets of the fixed head of a packet. */
export const HEADER_BYTES = 12;
/** The most that a UDP answer may have when the question says nothing of its size (RFC 1035), in octets. */
const PLAIN_UDP_BYTES = 512;
/** The most that a UDP answer has, however much the asker takes, in octets; what this server says that it takes. */
const MAX_UDP_BYTES = 4096;
/** The most that fits a message over TCP, in octets. */
const MAX_TCP_BYTES = 65_535;
/** A question carries one additional record (OPT), rarely two: no reason to read thousands. */
const MAX_ADDITIONALS = 8;
/** Each answer's name is the question's: a pointer to it, where `dns-packet` writes it out again. */
const QUESTION_POINTER = Buffer.from([0xc0, HEADER_BYTES]);

/** A question as it came. */
export interface Query {
  packet: Buffer;
  /** As it was written. */
  name: string;
  type: number;
  class: number;
  /** Where the question section ends in `packet`. */
  questionEnd: number;
  edns: { version: number; dnssecOk: boolean } | undefined;
  /** The most octets that its answer may have. */
  maxBytes: number;
}

/** What an answer says beyond the question. */
export interface Reply {
  rcode: number;
  /** Records whose name is the question's. */
  records?: readonly RecordData[];
  /** It is the last word about this name: Docker's embedded server looks no further then. */
  authoritative?: boolean;
}

/** A record of an answer; `ttl` in seconds. */
export type RecordData = { type: 'A' | 'AAAA' | 'PTR'; data: string; ttl: number };

/** Reads a question; bytes to answer when it is none that can be treated, nothing for what deserves no answer. */
export function readQuery(packet: Buffer, via: 'udp' | 'tcp'): Query | Buffer | undefined {
  if (packet.length < HEADER_BYTES || (packet[2]! & 0x80) !== 0) return undefined;
  if ((packet[2]! & 0x78) !== 0) return headerOnly(packet, RCODE.NOTIMP);
  if (packet.readUInt16BE(4) !== 1) return headerOnly(packet, RCODE.FORMERR);
  if (packet.readUInt32BE(6) !== 0 || packet.readUInt16BE(10) > MAX_ADDITIONALS) return undefined;
  const questionEnd = endOfQuestion(packet);
  if (questionEnd === undefined) return undefined;
  try {
    const { questions, additionals } = decode(packet);
    const opt = additionals?.find((record) => record.type === 'OPT');
    const takes = opt === undefined ? PLAIN_UDP_BYTES : Math.max(PLAIN_UDP_BYTES, opt.udpPayloadSize);
    return {
      packet,
      name: questions![0]!.name,
      type: packet.readUInt16BE(questionEnd - 4),
      class: packet.readUInt16BE(questionEnd - 2),
      questionEnd,
      edns: opt === undefined ? undefined : { version: opt.ednsVersion, dnssecOk: opt.flag_do },
      maxBytes: via === 'tcp' ? MAX_TCP_BYTES : Math.min(MAX_UDP_BYTES, takes),
    };
  } catch {
    return undefined;
  }
}

/**
 * The packet that answers `query`, with the question as it was written. What does not fit is left out and TC is set: the
 * records that fit stay, as older resolvers (musl before 1.2.4) never ask again over TCP.
 */
export function writeReply(query: Query, reply: Reply, truncated = false): Buffer {
  const opt = query.edns === undefined ? Buffer.alloc(0) : writeOpt(query.edns.dnssecOk, reply.rcode);
  const parts = [Buffer.alloc(HEADER_BYTES), query.packet.subarray(HEADER_BYTES, query.questionEnd)];
  let left = query.maxBytes - query.questionEnd - opt.length;
  let count = 0;
  for (const record of reply.records ?? []) {
    const bytes = writeRecord(record);
    left -= bytes.length;
    if (left < 0) break;
    parts.push(bytes);
    count++;
  }
  const header = parts[0]!;
  query.packet.copy(header, 0, 0, 2);
  const cut = truncated || count < (reply.records?.length ?? 0);
  header[2] = 0x80 | (reply.authoritative ? 0x04 : 0) | (cut ? 0x02 : 0) | (query.packet[2]! & 0x01);
  header[3] = 0x80 | (reply.rcode & 0x0f);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(count, 6);
  header.writeUInt16BE(opt.length > 0 ? 1 : 0, 10);
  return Buffer.concat([...parts, opt]);
}

/**
 * Another server's answer as an answer to `query`: its ID and its spelling of the name, cut when the asker takes less.
 * `answer` must be one to the same question.
 */
export function passOn(query: Query, answer: Buffer): Buffer {
  if (answer.length > query.maxBytes) return writeReply(query, { rcode: answer[3]! & 0x0f }, true);
  const passed = Buffer.from(answer);
  query.packet.copy(passed, 0, 0, 2);
  query.packet.copy(passed, HEADER_BYTES, HEADER_BYTES, query.questionEnd);
  return passed;
}

/** Whether `answer` is one to the question of `query` sent under `id`: the same name in any case, type and class. */
export function answersQuestion(answer: Buffer, query: Query, id: number): boolean {
  const end = query.questionEnd;
  if (answer.length < end || answer.readUInt16BE(0) !== id) return false;
  if ((answer[2]! & 0xf8) !== 0x80 || answer.readUInt16BE(4) !== 1) return false;
  for (let at = HEADER_BYTES; at < end; at++) {
    const [one, other] = [answer[at]!, query.packet[at]!];
    if (one !== other && (at >= end - 4 || foldByte(one) !== foldByte(other))) return false;
  }
  return true;
}

function foldByte(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

function headerOnly(packet: Buffer, rcode: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  packet.copy(header, 0, 0, 2);
  header[2] = 0x80 | (packet[2]! & 0x79);
  header[3] = 0x80 | rcode;
  return header;
}

/** The first question's end; it has no pointers, as nothing stands before it. */
function endOfQuestion(packet: Buffer): number | undefined {
  let at = HEADER_BYTES;
  for (;;) {
    const length = packet[at];
    if (length === undefined || length > 63) return undefined;
    at += 1 + length;
    if (length === 0) return at + 4 <= packet.length && at - HEADER_BYTES <= 255 ? at + 4 : undefined;
  }
}

function writeRecord({ type, data, ttl }: RecordData): Buffer {
  const answer: Answer = { type, name: '.', ttl, class: 'IN', data };
  return Buffer.concat([QUESTION_POINTER, encode({ answers: [answer] }).subarray(HEADER_BYTES + 1)]);
}

function writeOpt(dnssecOk: boolean, rcode: number): Buffer {
  const opt: Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: MAX_UDP_BYTES,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: dnssecOk ? 0x8000 : 0,
    flag_do: dnssecOk,
    options: [],
  };
  return encode({ additionals: [opt] }).subarray(HEADER_BYTES);
}
