export * from './control/index.js';
