import { type AnyObject, TABLE_NAMES, type TableName } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';

/** An object as read from a log, with the index of the transaction that wrote it. */
export interface LoadedRecord {
  table: TableName;
  id: string;
  version: number;
  value: AnyObject;
}

/** The key of an object's record: its cipher and digest know it by this. */
export function recordKey(table: TableName, id: string): string {
  return `${table}/${id}`;
}

/** The table and ID in a record's key; `undefined` when there is no such table. */
export function parseRecordKey(key: string): { table: TableName; id: string } | undefined {
  const slash = key.indexOf('/');
  const table = key.slice(0, slash) as TableName;
  return TABLE_NAMES.includes(table) ? { table, id: key.slice(slash + 1) } : undefined;
}

/** The plaintext and version of a sealed value. Throws what `damaged` makes of a finding when it does not open. */
export function openSealed(cipher: ValueCipher, key: string, sealed: Buffer, damaged: (finding: string) => Error) {
  const opened = cipher.open(key, sealed);
  if (!('problem' in opened)) return opened;
  const finding = opened.problem === 'altered' ? 'was altered' : 'is encrypted with another data key';
  throw damaged(`the record ${printable(key)} ${finding}`);
}

/** A record as read from a log, its object still as text. */
export interface LoadedText extends Pick<LoadedRecord, 'table' | 'id' | 'version'> {
  plaintext: string;
}

/** The text of the object in a sealed record. Throws as {@link openSealed}. */
export function openText(
  cipher: ValueCipher,
  key: string,
  sealed: Buffer,
  damaged: (finding: string) => Error,
): LoadedText {
  const { version, plaintext } = openSealed(cipher, key, sealed, damaged);
  const parsed = parseRecordKey(key);
  // Authentic, so written by a version that knew more tables: the format should have been raised for that.
  if (parsed === undefined) throw damaged(`the record ${printable(key)} is of no known table`);
  return { ...parsed, version, plaintext: plaintext.toString() };
}

/** The object in a sealed record. Throws as {@link openSealed}. */
export function decodeRecord(
  cipher: ValueCipher,
  key: string,
  sealed: Buffer,
  damaged: (finding: string) => Error,
): LoadedRecord {
  const { table, id, version, plaintext } = openText(cipher, key, sealed, damaged);
  const value = JSON.parse(plaintext) as AnyObject;
  // The same string twice would be kept twice.
  return { table, id: value.ID === id ? value.ID : id, version, value };
}

/** Altered keys may hold anything; messages go to terminals. */
function printable(key: string): string {
  return JSON.stringify(key.slice(0, 120));
}
