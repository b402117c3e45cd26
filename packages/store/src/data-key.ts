import { createHash, randomBytes } from 'node:crypto';
import { isErrorCode, SwarmdError } from '@swarmd/model';
import { DATA_KEY_BYTES } from './cipher.js';
import { loadSecret, saveSecret } from './secrets/secret-file.js';
import type { UnlockKey } from './secrets/unlock-key.js';

/** One of a cluster's data keys. */
export interface DataKey {
  readonly bytes: Uint8Array;
  /** How many values it has sealed on this manager, as last kept: some of the newest may be missing. */
  readonly uses: number;
  /** The ID of the unlock key that locked this manager when the key was made; `''` when it was not locked. */
  readonly madeUnder: string;
}

/** The data keys in use: the first seals, the others still open older values. */
export type DataKeyRing = readonly [DataKey, ...DataKey[]];

const FIRST_LINE = 'swarmd data keys';
const KEY_LINE = /^([0-9a-f]{64}) uses (\d{1,15}) under ([0-9a-f]{8}|-)$/;
/** The file of earlier versions, with one key. */
const SINGLE_KEY = /^(swarmd data key ([0-9a-f]{64})) ([0-9a-f]{8})\n$/;
const WHOLE = /^([\s\S]+\n)check ([0-9a-f]{8})\n$/;

/** A new random key that has sealed nothing. */
export function createDataKey(madeUnder = ''): DataKey {
  return { bytes: randomBytes(DATA_KEY_BYTES), uses: 0, madeUnder };
}

/**
 * The data keys in the file at `path`, opened with `unlockKey` if it is sealed; `undefined` when there is no file.
 * Rejects with `locked`, with `damaged` when the file does not hold whole keys, with `failed-precondition` when others
 * may read it.
 */
export async function loadDataKeys(path: string, unlockKey?: UnlockKey): Promise<DataKeyRing | undefined> {
  const content = await loadSecret(path, unlockKey);
  if (content === undefined) return undefined;
  const ring = parse(content.toString('latin1'));
  if (ring === undefined)
    throw new SwarmdError(
      'damaged',
      `the data key file ${path} is damaged: without the key the store cannot be read. Put back a copy of the file`,
    );
  return ring;
}

/** Replaces the file at `path` with these keys, sealed for `unlockKeys` (see `saveSecret`). */
export async function saveDataKeys(path: string, ring: DataKeyRing, unlockKeys: readonly UnlockKey[]): Promise<void> {
  await saveSecret(path, format(ring), unlockKeys);
}

/** The keys in the file at `path`; without a file, a new one, written there first. Errors as {@link loadDataKeys}. */
export async function loadOrCreateDataKeys(path: string, unlockKey?: UnlockKey): Promise<DataKeyRing> {
  const known = await loadDataKeys(path, unlockKey);
  if (known !== undefined) return known;
  const ring: DataKeyRing = [createDataKey(unlockKey?.id)];
  try {
    await saveSecret(path, format(ring), unlockKey === undefined ? [] : [unlockKey], 'create');
    return ring;
  } catch (error) {
    if (!isErrorCode(error, 'already-exists')) throw error;
  }
  // Another process was faster; both must use the one key that is there.
  const theirs = await loadDataKeys(path, unlockKey);
  if (theirs === undefined) throw new SwarmdError('aborted', `the data key file ${path} came and went`);
  return theirs;
}

/** The key that seals, of {@link loadOrCreateDataKeys} on a manager that is not locked. */
export async function loadOrCreateDataKey(path: string): Promise<Uint8Array> {
  return (await loadOrCreateDataKeys(path))[0].bytes;
}

/** Writes a data key, as a joining manager receives it, to a new file: mode 0600, synced. `already-exists` if there is one. */
export async function saveDataKey(path: string, dataKey: Uint8Array): Promise<void> {
  await saveSecret(path, format([{ bytes: dataKey, uses: 0, madeUnder: '' }]), [], 'create');
}

/** The key that seals, of {@link loadDataKeys} on a manager that is not locked. */
export async function loadDataKey(path: string): Promise<Uint8Array | undefined> {
  return (await loadDataKeys(path))?.[0].bytes;
}

function format(ring: DataKeyRing): Buffer {
  const lines = ring.map(({ bytes, uses, madeUnder }) => {
    return `${Buffer.from(bytes).toString('hex')} uses ${uses} under ${madeUnder === '' ? '-' : madeUnder}`;
  });
  const content = [FIRST_LINE, ...lines, ''].join('\n');
  return Buffer.from(`${content}check ${checkOf(content)}\n`);
}

function parse(content: string): DataKeyRing | undefined {
  const single = SINGLE_KEY.exec(content);
  if (single !== null) {
    const bytes = Buffer.from(single[2]!, 'hex');
    return checkOf(single[1]!) === single[3] ? [{ bytes, uses: 0, madeUnder: '' }] : undefined;
  }
  const whole = WHOLE.exec(content);
  if (whole === null || checkOf(whole[1]!) !== whole[2]) return undefined;
  const [first, ...lines] = whole[1]!.slice(0, -1).split('\n');
  const keys = lines.map((line) => {
    const [, hex, uses, under] = KEY_LINE.exec(line) ?? [];
    if (hex === undefined) return undefined;
    return { bytes: Buffer.from(hex, 'hex'), uses: Number(uses), madeUnder: under === '-' ? '' : under! };
  });
  const known = keys.filter((key) => key !== undefined);
  const [sealing, ...older] = known;
  if (first !== FIRST_LINE || sealing === undefined || known.length < keys.length) return undefined;
  return [sealing, ...older];
}

function checkOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
