import { createHash } from 'node:crypto';

const MODULUS_BITS = 128;

/**
 * A digest of a set of records that adding and removing one changes at a constant cost: how many there are, and the sum
 * modulo 2¹²⁸ of a hash of each one's key and version. Values need no part in it: each is sealed under its key and
 * version, so that one in place of another does not open.
 */
export class RecordDigest {
  readonly count: number;
  readonly sum: bigint;

  constructor(count = 0, sum = 0n) {
    this.count = count;
    this.sum = sum;
  }

  /** The digest with one record more. */
  with(key: string, version: number): RecordDigest {
    return new RecordDigest(this.count + 1, BigInt.asUintN(MODULUS_BITS, this.sum + recordHash(key, version)));
  }

  /** The digest with one record less. */
  without(key: string, version: number): RecordDigest {
    return new RecordDigest(this.count - 1, BigInt.asUintN(MODULUS_BITS, this.sum - recordHash(key, version)));
  }
}

function recordHash(key: string, version: number): bigint {
  const digest = createHash('sha256').update(`${version}\0${key}`).digest();
  return (digest.readBigUInt64LE(8) << 64n) | digest.readBigUInt64LE(0);
}

/** What a log holds after a transaction: the transaction's index and the digest of all records. */
export interface LogState {
  index: number;
  digest: RecordDigest;
}

/** A log state as text, for the record that every batch updates and for the head file. */
export function formatLogState({ index, digest }: LogState): string {
  return JSON.stringify({ index, count: digest.count, sum: digest.sum.toString(16) });
}

/** The inverse of {@link formatLogState}, on text that has been authenticated. */
export function parseLogState(text: string): LogState {
  const { index, count, sum } = JSON.parse(text) as { index: number; count: number; sum: string };
  return { index, digest: new RecordDigest(count, BigInt(`0x${sum}`)) };
}

/** Whether two states are of the same set of records at the same index. */
export function sameLogState(a: LogState, b: LogState): boolean {
  return a.index === b.index && a.digest.count === b.digest.count && a.digest.sum === b.digest.sum;
}
