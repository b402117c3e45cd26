import { SwarmdError } from '@swarmd/model';
import { crc32c } from './crc32c.js';

/** A record of etcd's write-ahead log (etcd: wal/walpb/record.proto, wal/encoder.go). */
export type WalRecord =
  | { kind: 'metadata'; memberId: bigint; clusterId: bigint }
  | { kind: 'entry'; term: bigint; index: bigint }
  | { kind: 'state'; term: bigint; vote: bigint; commit: bigint }
  | { kind: 'snapshot'; term: bigint; index: bigint }
  | { kind: 'checksum' };

/** Where a file's records end, and how. */
export interface WalEnd {
  /** Bytes up to the end of the last whole record. */
  offset: number;
  /** The running checksum there, which the next record goes on from. */
  checksum: number;
  /** A record was being written when the machine stopped: it was never acknowledged, and etcd cuts it off too. */
  isTorn: boolean;
}

const KINDS = { metadata: 1, entry: 2, state: 3, checksum: 4, snapshot: 5 } as const;
/** Entries that change the members, and the change that adds one or gives it its vote (etcd: raftpb/raft.proto). */
const CONF_CHANGE = 1;
const ADD_NODE = 0;
/** No record is as long (etcd: wal/decoder.go); a length that says so was altered. */
const MAX_RECORD_BYTES = 10 << 20;
/** The unit that disks write whole. */
const SECTOR_BYTES = 512;

/**
 * Reads the records of one file of the log in order. `damaged` when a record's checksum is wrong in a way that no
 * interrupted write explains; `file` names it in the message.
 */
export function readWal(bytes: Uint8Array, file: string, onRecord: (record: WalRecord) => void): WalEnd {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [offset, checksum] = [0, 0];
  const end = (isTorn: boolean): WalEnd => ({ offset, checksum, isTorn });
  while (offset + 8 <= bytes.length) {
    const frame = view.getBigUint64(offset, true);
    if (frame === 0n) return end(false);
    const { recordBytes, padBytes } = unframe(frame);
    const start = offset + 8;
    if (recordBytes >= MAX_RECORD_BYTES - padBytes)
      throw new SwarmdError('damaged', `etcd's log is damaged: ${file} at byte ${offset}`);
    if (start + recordBytes + padBytes > bytes.length) return end(true);
    const body = bytes.subarray(start, start + recordBytes);
    const record = parseRecord(body);
    const isChecksum = record?.kind === KINDS.checksum;
    const next = record === undefined || isChecksum ? checksum : crc32c(record.data, checksum);
    const isWhole =
      record !== undefined && (isChecksum ? checksum === 0 || record.crc === checksum : record.crc === next);
    if (!isWhole) {
      if (isInterrupted(bytes, start, recordBytes + padBytes)) return end(true);
      throw new SwarmdError('damaged', `etcd's log is damaged: ${file} at byte ${offset}`);
    }
    checksum = isChecksum ? record.crc : next;
    offset = start + recordBytes + padBytes;
    const meaning = meaningOf(record);
    if (meaning !== undefined) onRecord(meaning);
  }
  return end(offset < bytes.length);
}

/** The lower 56 bits are the record's length; the top bit says that the three lowest of the upper byte are padding. */
function unframe(frame: bigint): { recordBytes: number; padBytes: number } {
  const padBytes = frame >> 63n === 1n ? Number((frame >> 56n) & 0x7n) : 0;
  return { recordBytes: Number(frame & 0xff_ffff_ffff_ffffn), padBytes };
}

/** As etcd has it: a sector of the record that is nothing but zeros was not written any more. */
function isInterrupted(bytes: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; ) {
    const sectorEnd = Math.min(start + length, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    if (bytes.subarray(at, sectorEnd).every((byte) => byte === 0)) return true;
    at = sectorEnd;
  }
  return false;
}

interface RawRecord {
  kind: number;
  crc: number;
  data: Uint8Array;
}

function parseRecord(body: Uint8Array): RawRecord | undefined {
  const fields = parseFields(body);
  if (fields === undefined) return undefined;
  return {
    kind: Number(fields.numbers[1] ?? 0n),
    crc: Number(fields.numbers[2] ?? 0n),
    data: fields.bytes[3] ?? new Uint8Array(),
  };
}

function meaningOf({ kind, data }: RawRecord): WalRecord | undefined {
  const numbers = parseFields(data)?.numbers ?? {};
  const field = (n: number): bigint => numbers[n] ?? 0n;
  switch (kind) {
    case KINDS.metadata:
      return { kind: 'metadata', memberId: field(1), clusterId: field(2) };
    case KINDS.entry:
      return { kind: 'entry', term: field(2), index: field(3) };
    case KINDS.state:
      return { kind: 'state', term: field(1), vote: field(2), commit: field(3) };
    case KINDS.snapshot:
      return { kind: 'snapshot', index: field(1), term: field(2) };
    case KINDS.checksum:
      return { kind: 'checksum' };
    default:
      return undefined;
  }
}

/** The varint and bytes fields of a protobuf message by number; `undefined` when it is none. */
function parseFields(
  body: Uint8Array,
): { numbers: Record<number, bigint>; bytes: Record<number, Uint8Array> } | undefined {
  const fields = { numbers: {} as Record<number, bigint>, bytes: {} as Record<number, Uint8Array> };
  let at = 0;
  const varint = (): bigint | undefined => {
    for (let value = 0n, shift = 0n; at < body.length && shift < 70n; shift += 7n) {
      const byte = body[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < body.length) {
    const [tag, value] = [varint(), varint()];
    if (tag === undefined || value === undefined) return undefined;
    const number = Number(tag >> 3n);
    if ((tag & 7n) === 0n) fields.numbers[number] = value;
    else if ((tag & 7n) === 2n && at + Number(value) <= body.length) {
      fields.bytes[number] = body.subarray(at, at + Number(value));
      at += Number(value);
    } else return undefined;
  }
  return fields;
}

/** Records that can be written after a record with the running checksum `checksum`, and the checksum behind them. */
export interface Encoded {
  bytes: Uint8Array;
  checksum: number;
}

/** A state record that follows a record with the running checksum `checksum`. */
export function encodeState(state: { term: bigint; vote: bigint; commit: bigint }, checksum: number): Encoded {
  const data = [0x08, ...varint(state.term), 0x10, ...varint(state.vote), 0x18, ...varint(state.commit)];
  return encodeRecord(KINDS.state, Buffer.from(data), checksum);
}

/** A record of an entry that gives `memberId`, so far a learner, its vote (etcd: raftpb.ConfChange, api/membership). */
export function encodePromotion(
  { term, index, memberId }: { term: bigint; index: bigint; memberId: bigint },
  checksum: number,
): Encoded {
  // By hand: an ID has more digits than a number of JSON.stringify holds.
  const context = bytesField(4, Buffer.from(`{"id":${memberId},"peerURLs":null,"isPromote":true}`));
  const change = Buffer.from([0x08, 0, 0x10, ADD_NODE, 0x18, ...varint(memberId), ...context]);
  const head = [0x08, CONF_CHANGE, 0x10, ...varint(term), 0x18, ...varint(index)];
  return encodeRecord(KINDS.entry, Buffer.from([...head, ...bytesField(4, change)]), checksum);
}

function encodeRecord(kind: number, data: Uint8Array, before: number): Encoded {
  const checksum = crc32c(data, before);
  const body = Buffer.from([0x08, kind, 0x10, ...varint(BigInt(checksum)), ...bytesField(3, data)]);
  const padBytes = (8 - (body.length % 8)) % 8;
  const frame = Buffer.alloc(8);
  const padding = padBytes === 0 ? 0n : BigInt(0x80 | padBytes) << 56n;
  frame.writeBigUInt64LE(padding | BigInt(body.length));
  return { bytes: Buffer.concat([frame, body, Buffer.alloc(padBytes)]), checksum };
}

function bytesField(number: number, data: Uint8Array): number[] {
  return [(number << 3) | 2, ...varint(BigInt(data.length)), ...data];
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}
