export { openStore, type StoreOptions } from './engine/store.js';
export { createMemoryLog } from './memory-log.js';
