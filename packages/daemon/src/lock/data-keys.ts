import type { ResealableLog } from '@swarmd/model';
import {
  createDataKey,
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
  readonly #deps: DataKeysDependencies;
  #ring: DataKeyRing | undefined;
  #cipher: ValueCipher | undefined;
  #log: ResealableLog | undefined;
  /** Uses of the present key that the file knows of, less those that the cipher has counted since. */
  #usesBefore = 0;

  constructor(deps: DataKeysDependencies) {
    this.#deps = deps;
  }

  /** Reads the keys, making the first one when there is no file. Errors as `loadOrCreateDataKeys`. */
  async open(): Promise<ValueCipher> {
    const { path, vault } = this.#deps;
    const ring = await vault.write(() => loadOrCreateDataKeys(path, vault.key));
    this.#ring = ring;
    this.#usesBefore = ring[0].uses;
    this.#cipher = new ValueCipher(bytesOf(ring));
    return this.#cipher;
  }

  /** Names the log that uses the cipher; without one that can be sealed anew, keys are never replaced. */
  attach(log: ResealableLog): void {
    this.#log = log;
  }

  /** Whether {@link tend} has something to do for an unlock key with this ID (`''`: not locked). Cheap. */
  wantsCare(unlockKeyId: string): boolean {
    const ring = this.#ring;
    if (ring === undefined) return false;
    return this.#mustRotate(ring, unlockKeyId) || ring.length > 1 || this.#uses - ring[0].uses >= USES_PER_SAVE;
  }

  /**
   * Does what is due: replaces the key when it was made before the present unlock key, or has sealed enough; finishes a
   * rotation that was cut off; keeps the count of uses. Rejects with the signal's reason; then tend again.
   */
  async tend(unlockKeyId: string, signal: AbortSignal): Promise<void> {
    const [ring, cipher, log] = [this.#ring, this.#cipher, this.#log];
    if (ring === undefined || cipher === undefined || log === undefined) return;
    if (this.#mustRotate(ring, unlockKeyId)) {
      await this.#keep([createDataKey(unlockKeyId), ...ring]);
      cipher.use(bytesOf(this.#ring!));
      this.#usesBefore = 0;
      this.#deps.logger.info({ dataKey: cipher.keyId }, 'a new data key: the store is sealed anew');
    }
    if (this.#ring!.length > 1) {
      await log.reseal(signal);
      await this.#keep([this.#ring![0]]);
      cipher.use(bytesOf(this.#ring!));
      this.#deps.logger.info({ dataKey: cipher.keyId }, 'the store is sealed with the new data key alone');
    }
    if (this.#uses - this.#ring![0].uses >= USES_PER_SAVE) await this.keepUses();
  }

  /** Keeps the count of uses, before the log closes for instance. */
  async keepUses(): Promise<void> {
    const [ring, uses] = [this.#ring, this.#uses];
    if (ring === undefined || uses === ring[0].uses) return;
    await this.#keep([{ ...ring[0], uses }, ...ring.slice(1)]);
  }

  get #uses(): number {
    return this.#usesBefore + (this.#cipher?.seals ?? 0);
  }

  #mustRotate(ring: DataKeyRing, unlockKeyId: string): boolean {
    if (this.#log === undefined) return false;
    return (unlockKeyId !== '' && ring[0].madeUnder !== unlockKeyId) || this.#uses >= MOST_USES;
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
