export * from './clock.js';
export * from './control.js';
export * from './deadline.js';
export * from './log.js';
export * from './network-audit.js';
export * from './node-networks.js';
export * from './pause.js';
export * from './store.js';
