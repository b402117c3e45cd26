import { loadSecret, saveSecret, secretSealedFor } from './secret-file.js';
import type { UnlockKey } from './unlock-key.js';

/** A file with a secret in it, as a {@link Vault} handles it. */
export interface SecretFile {
  /** The IDs of the unlock keys that open it: none in the clear; `undefined` when there is no file. */
  sealedFor(): Promise<readonly string[] | undefined>;
  /** Rejects with `locked` unless `key` opens it, `damaged` when nothing would. Without a file it resolves. */
  check(key: UnlockKey | undefined): Promise<void>;
  /** Opens the secret with `from`, checks it and writes it anew, sealed so that each of `to` opens it; durably. */
  reseal(from: UnlockKey | undefined, to: readonly UnlockKey[]): Promise<void>;
}

/** A {@link SecretFile} whose whole content is the secret (see `saveSecret`). */
export function secretFile(path: string): SecretFile {
  return {
    sealedFor: () => secretSealedFor(path),
    check: async (key) => {
      await loadSecret(path, key);
    },
    reseal: async (from, to) => {
      const secret = await loadSecret(path, from);
      if (secret !== undefined) await saveSecret(path, secret, to);
    },
  };
}

/**
 * All secrets that this node keeps on its disk, sealed with one unlock key or in the clear. Everything that writes one
 * goes through {@link write}, so that no file escapes a change of the key.
 */
export class Vault {
  readonly #files: readonly SecretFile[];
  #key: UnlockKey | undefined;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(files: readonly SecretFile[], key: UnlockKey | undefined) {
    this.#files = files;
    this.#key = key;
  }

  /** Opens every file with `key`. Rejects with `locked` when it is not the one for all of them. */
  static async open(files: readonly SecretFile[], key?: UnlockKey): Promise<Vault> {
    for (const file of files) await file.check(key);
    return new Vault(files, key);
  }

  /** The key in use; `undefined` while the secrets are in the clear. */
  get key(): UnlockKey | undefined {
    return this.#key;
  }

  /** Runs `save` with the keys to seal for, while nothing else writes a secret. */
  write<R>(save: (keys: readonly UnlockKey[]) => Promise<R>): Promise<R> {
    return this.#exclusively(() => save(this.#key === undefined ? [] : [this.#key]));
  }

  /**
   * Has every file sealed with `key` alone, or in the clear. Resolves with whether anything was written. From one key to
   * another goes by way of both: each file is first made to open with either, then with the new one alone, so that at
   * every instant there is one key, the old or the new, that opens all of them. What failed can be tried again.
   */
  async rekey(key: UnlockKey | undefined): Promise<boolean> {
    return this.#exclusively(async () => {
      let written = false;
      if (key !== undefined && this.#key !== undefined && key.id !== this.#key.id) {
        written = await this.#reseal([this.#key, key], (ids) => ids.length > 0 && !ids.includes(key.id));
      }
      // From here on each file opens with the new key: sealed ones with either, others without any.
      if (key !== undefined) this.#key = key;
      const [to, wanted] = key === undefined ? [[], ''] : [[key], key.id];
      written = (await this.#reseal(to, (ids) => ids.join() !== wanted)) || written;
      this.#key = key;
      return written;
    });
  }

  /** Seals the files that need it, one after another, for `to`. */
  async #reseal(to: readonly UnlockKey[], needs: (ids: readonly string[]) => boolean): Promise<boolean> {
    let written = false;
    for (const file of this.#files) {
      const ids = await file.sealedFor();
      if (ids === undefined || !needs(ids)) continue;
      await file.reseal(this.#key, to);
      written = true;
    }
    return written;
  }

  #exclusively<R>(change: () => Promise<R>): Promise<R> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => {});
    return done;
  }
}
