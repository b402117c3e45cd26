export { DATA_KEY_BYTES } from './cipher.js';
export { loadDataKey, loadOrCreateDataKey, saveDataKey } from './data-key.js';
export { writeFileDurably } from './durable-file.js';
export { openStore, type StoreOptions } from './engine/store.js';
export { type EtcdLogOptions, openEtcdLog } from './etcd/etcd-log.js';
export { type LevelLogOptions, openLevelLog } from './level/level-log.js';
export { createMemoryLog } from './memory-log.js';
