export * from './histories/index.js';
export * from './hosts/index.js';
export * from './sim/builders.js';
export * from './sim/clock.js';
export * from './sim/random.js';
