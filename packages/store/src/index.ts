export { DATA_KEY_BYTES } from './cipher.js';
export { loadDataKey, loadOrCreateDataKey, saveDataKey } from './data-key.js';
export { writeFileDurably } from './durable-file.js';
export { openSharedStore, type SharedStoreOptions } from './engine/shared-store.js';
export { openStore, type StoreOptions } from './engine/store.js';
export { type LevelLogOptions, openLevelLog } from './level/level-log.js';
export { createMemoryLog } from './memory-log.js';
export { moveLog } from './move-log.js';
export { createSharedMemory, type Reach, type SharedMemory } from './shared-memory-log.js';
