import type { ResealableLog } from '@swarmd/model';
import {
  createDataKey,
  type DataKey,
  type DataKeyRing,
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
    const [[current, ...older], uses] = [this.#ring, this.#uses];
    if (uses !== current.uses) await this.#keep([{ ...current, uses }, ...older]);
  }

  async #tend(unlockKeyId: string, signal: AbortSignal): Promise<void> {
    const [cipher, log, { logger }] = [this.cipher, this.#log, this.#deps];
    if (log !== undefined && this.#mustRotate(unlockKeyId)) {
      await this.#keep([createDataKey(unlockKeyId), ...this.#ring]);
      cipher.use(bytesOf(this.#ring));
      this.#usesBefore = 0;
      logger.info({ dataKey: cipher.keyId }, 'a new data key: the store is sealed anew');
    }
    if (log !== undefined && this.#ring.length > 1) {
      await log.reseal(signal);
      await this.#keep([this.current]);
      cipher.use(bytesOf(this.#ring));
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

  async #keep(ring: DataKeyRing): Promise<void> {
    await this.#deps.vault.write((keys) => saveDataKeys(this.#deps.path, ring, keys));
    this.#ring = ring;
  }
}

function bytesOf(ring: DataKeyRing): [Uint8Array, ...Uint8Array[]] {
  const [sealing, ...older] = ring;
  return [sealing.bytes, ...older.map(({ bytes }) => bytes)];
}
