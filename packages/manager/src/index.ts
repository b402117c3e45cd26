export * from './allocator/index.js';
export * from './ca/index.js';
export * from './cluster/index.js';
export * from './control/index.js';
export * from './dispatcher/index.js';
export { type Loop, startLoop } from './loop/loop.js';
export * from './orchestrator/index.js';
export * from './scheduler/index.js';
