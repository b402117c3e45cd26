import { join } from 'node:path';
import { openSecret, type SecretFile, sealedFor, sealSecret, secretFile, type UnlockKey, Vault } from '@swarmd/store';
import { type Identity, loadIdentity, readCertificate, saveIdentity } from '@swarmd/wire';
import { damagedSecrets, managerFiles } from '../manager/manager-files.js';

/** What the private key in an identity's file is sealed as. */
const NODE_KEY = 'node.pem';

/** Folder of the node's certificate and key under the data directory. */
export function identityDir(dataDir: string): string {
  return join(dataDir, 'certificates');
}

/**
 * The vault of everything secret that this node keeps under its data directory: its private key, the data keys, the key
 * of its etcd member, and those of damaged data that was set aside.
 * Rejects with `locked` unless `unlockKey` (or none) opens all of it.
 */
export async function openVault(dataDir: string, unlockKey?: UnlockKey): Promise<Vault> {
  const { dataKey, etcdMembership } = managerFiles(dataDir);
  const paths = [dataKey, etcdMembership, ...damagedSecrets(dataDir)];
  return Vault.open([identityFile(identityDir(dataDir)), ...paths.map(secretFile)], unlockKey);
}

/** Keeps the identity as the vault says: sealed, or in the clear. */
export async function keepIdentity(dataDir: string, vault: Vault, identity: Identity): Promise<void> {
  await vault.write((keys) => saveIdentity(identityDir(dataDir), identity, protection(keys)));
}

/** The identity kept, its key opened with the vault's. See `loadIdentity`. */
export async function keptIdentity(dataDir: string, vault: Vault): Promise<Identity | undefined> {
  return loadIdentity(identityDir(dataDir), (sealed) => openSecret(NODE_KEY, sealed, vault.key).toString());
}

/** Whether the node's key was on the disk in the clear before it was sealed, and was not replaced since. */
export async function nodeKeyWasClear(dataDir: string): Promise<boolean> {
  return (await readCertificate(identityDir(dataDir)))?.renew === true;
}

/** The identity's file: its key alone is secret, the certificate says who a locked node is. */
function identityFile(directory: string): SecretFile {
  const load = (key: UnlockKey | undefined) =>
    loadIdentity(directory, (sealed) => openSecret(NODE_KEY, sealed, key).toString());
  return {
    check: async (key) => {
      await load(key);
    },
    sealedFor: async () => {
      const kept = await readCertificate(directory);
      if (kept === undefined) return undefined;
      return kept.sealedKey === undefined ? [] : sealedFor(NODE_KEY, kept.sealedKey);
    },
    reseal: async (from, to) => {
      const [kept, identity] = [await readCertificate(directory), await load(from)];
      if (kept === undefined || identity === undefined) return;
      const renew = to.length > 0 && (kept.renew || kept.sealedKey === undefined);
      await saveIdentity(directory, identity, { ...protection(to), renew });
    },
  };
}

function protection(keys: readonly UnlockKey[]) {
  return keys.length === 0 ? {} : { sealKey: (keyPem: string) => sealSecret(NODE_KEY, Buffer.from(keyPem), keys) };
}
