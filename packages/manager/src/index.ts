export * from './control/index.js';
export * from './scheduler/index.js';
