import { type ResealableLog, SwarmdError } from '@swarmd/model';
import {
  createDataKey,
  type DataKey,
  type DataKeyRing,
  dataKeyId,
  loadOrCreateDataKeys,
  saveDataKeys,
  ValueCipher,
  type Vault,
} from '@swarmd/store';
import type { Logger } from 'pino';

/**
 * Values that one key seals on one manager before another takes its place. Random nonces are safe for 2³² values of a
 * key (NIST SP 800-38D, 8.3); this leaves room for sixteen managers that lead one after another.
 */
const MOST_USES = 2 ** 28;
/** A count that was not kept when swarmd was killed is short by fewer than this. */
const USES_PER_SAVE = 2 ** 16;

/** What {@link DataKeys} needs. */
export interface DataKeysDependencies {
  /** The file of the keys. */
  path: string;
  vault: Vault;
  logger: Logger;
}

/**
 * The data keys of this manager: on disk through its vault, in memory in the cipher that its log uses. A rotation makes a
 * new key durable before anything is sealed with it, seals everything else anew and then drops the old key; cut off
 * anywhere, {@link tend} takes it up again.
 */
export class DataKeys {
  /** Seals and opens with the keys of the moment: whatever uses it follows a rotation. */
  readonly cipher: ValueCipher;
  readonly #deps: DataKeysDependencies;
  #ring: DataKeyRing;
  #log: ResealableLog | undefined;
  #tending: Promise<void> = Promise.resolve();
  /** Uses of the present key that the file knows of, less those that the cipher has counted since. */
  #usesBefore: number;

  private constructor(deps: DataKeysDependencies, ring: DataKeyRing) {
    this.#deps = deps;
    this.#ring = ring;
    this.#usesBefore = ring[0].uses;
    this.cipher = new ValueCipher(bytesOf(ring));
  }

  /** Reads the keys, making the first one when there is no file. Errors as `loadOrCreateDataKeys`. */
  static async open(deps: DataKeysDependencies): Promise<DataKeys> {
    const { path, vault } = deps;
    return new DataKeys(deps, await vault.write(() => loadOrCreateDataKeys(path, vault.key)));
  }

  /** The key that seals. */
  get current(): DataKey {
    return this.#ring[0];
  }

  /** All keys held, the one that seals first. */
  get ring(): DataKeyRing {
    return this.#ring;
  }

  /** The IDs of all keys held. */
  get ids(): string[] {
    return this.#ring.map(idOf);
  }

  /** The key with this ID, if it is held. */
  get(id: string): DataKey | undefined {
    return this.#ring.find((key) => idOf(key) === id);
  }

  /**
   * Seals with the held key of this ID from the next value on, whatever is on the disk, where the order of the keys follows
   * with the next change. Returns whether it is held.
   */
  use(id: string): boolean {
    const [key, current] = [this.get(id), this.current];
    if (key === undefined || key === current) return key !== undefined;
    const counted = { ...current, uses: this.#uses };
    this.#ring = [key, ...this.#ring.filter((other) => other !== key).map((k) => (k === current ? counted : k))];
    this.cipher.use(bytesOf(this.#ring));
    this.#usesBefore = key.uses;
    return true;
  }

  /** Holds further keys, durably, behind the one that seals. Those that are held already are left as they are. */
  async take(keys: readonly DataKey[]): Promise<void> {
    const fresh = (ring: DataKeyRing): DataKey[] =>
      keys.filter((key) => ring.every((held) => idOf(held) !== idOf(key)));
    if (fresh(this.#ring).length === 0) return;
    await this.#change((ring) => [...ring, ...fresh(ring)]);
    this.cipher.use(bytesOf(this.#ring));
  }

  /** Forgets all keys but those with these IDs and the one that seals. Resolves with whether there were any. */
  async retain(ids: readonly string[]): Promise<boolean> {
    const kept = ([current, ...older]: DataKeyRing): DataKeyRing => [
      current,
      ...older.filter((key) => ids.includes(idOf(key))),
    ];
    if (kept(this.#ring).length === this.#ring.length) return false;
    await this.#change(kept);
    this.cipher.use(bytesOf(this.#ring));
    return true;
  }

  /** Whether a key is to be replaced, for an unlock key with this ID (`''`: not locked): see {@link tend}. */
  isDue(unlockKeyId: string): boolean {
    return this.#mustRotate(unlockKeyId);
  }

  /** Names the log that uses the cipher; without one that can be sealed anew, keys are never replaced. */
  attach(log: ResealableLog): void {
    this.#log = log;
  }

  /** Has no key replaced any more until a log is attached again. Resolves once none is being replaced. */
  async freeze(): Promise<void> {
    this.#log = undefined;
    await this.#tending;
  }

  /** Whether {@link tend} has something to do for an unlock key with this ID (`''`: not locked). Cheap. */
  wantsCare(unlockKeyId: string): boolean {
    const due = this.#log !== undefined && (this.#mustRotate(unlockKeyId) || this.#ring.length > 1);
    return due || this.#uses - this.current.uses >= USES_PER_SAVE;
  }

  /**
   * Does what is due: replaces the key when it was made before the present unlock key, or has sealed enough; finishes a
   * rotation that was cut off; keeps the count of uses. Rejects with the signal's reason; then tend again.
   */
  async tend(unlockKeyId: string, signal: AbortSignal): Promise<void> {
    const done = this.#tend(unlockKeyId, signal);
    this.#tending = done.catch(() => {});
    return done;
  }

  /** Keeps the count of uses, before the log closes for instance. */
  async keepUses(): Promise<void> {
    if (this.#uses !== this.current.uses)
      await this.#change(([current, ...older]) => [{ ...current, uses: this.#uses }, ...older]);
  }

  async #tend(unlockKeyId: string, signal: AbortSignal): Promise<void> {
    const [cipher, log, { logger }] = [this.cipher, this.#log, this.#deps];
    if (log !== undefined && this.#mustRotate(unlockKeyId)) {
      const key = createDataKey(unlockKeyId);
      await this.take([key]);
      if (!this.use(idOf(key))) throw new SwarmdError('internal', 'a data key that was just made is not held');
      // Its place in the file says that it seals.
      await this.#change((ring) => ring);
      logger.info({ dataKey: cipher.keyId }, 'a new data key: the store is sealed anew');
    }
    if (log !== undefined && this.#ring.length > 1) {
      await log.reseal(signal);
      await this.retain([]);
      logger.info({ dataKey: cipher.keyId }, 'the store is sealed with the new data key alone');
    }
    if (this.#uses - this.current.uses >= USES_PER_SAVE) await this.keepUses();
  }

  get #uses(): number {
    return this.#usesBefore + this.cipher.seals;
  }

  #mustRotate(unlockKeyId: string): boolean {
    return (unlockKeyId !== '' && this.current.madeUnder !== unlockKeyId) || this.#uses >= MOST_USES;
  }

  /** Makes a change durable, then takes it over, on whatever the order of the keys is by then. */
  async #change(change: (ring: DataKeyRing) => DataKeyRing): Promise<void> {
    await this.#deps.vault.write(async (keys) => {
      await saveDataKeys(this.#deps.path, change(this.#ring), keys);
      this.#ring = change(this.#ring);
    });
  }
}

function idOf({ bytes }: DataKey): string {
  return dataKeyId(bytes);
}

function bytesOf(ring: DataKeyRing): [Uint8Array, ...Uint8Array[]] {
  const [sealing, ...older] = ring;
  return [sealing.bytes, ...older.map(({ bytes }) => bytes)];
}
