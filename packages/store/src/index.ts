export { DATA_KEY_BYTES, dataKeyId, ValueCipher } from './cipher.js';
export {
  createDataKey,
  type DataKey,
  type DataKeyRing,
  loadDataKey,
  loadDataKeys,
  loadOrCreateDataKey,
  loadOrCreateDataKeys,
  saveDataKey,
  saveDataKeys,
} from './data-key.js';
export { syncDirectory, writeFileDurably } from './durable-file.js';
export { openSharedStore, type SharedStoreOptions } from './engine/shared-store.js';
export { openStore, type StoreOptions } from './engine/store.js';
export { type EtcdLogOptions, openEtcdLog } from './etcd/etcd-log.js';
export { type LevelLogOptions, openLevelLog } from './level/level-log.js';
export { createMemoryLog } from './memory-log.js';
export { moveLog } from './move-log.js';
export { isSealed, openSecret, SEALED_LABEL, sealedFor, sealSecret } from './secrets/sealed-secret.js';
export { loadSecret, saveSecret, secretSealedFor } from './secrets/secret-file.js';
export { createUnlockKey, parseUnlockKey, type UnlockKey } from './secrets/unlock-key.js';
export { type SecretFile, secretFile, Vault } from './secrets/vault.js';
export { createSharedMemory, type Reach, type SharedMemory } from './shared-memory-log.js';
