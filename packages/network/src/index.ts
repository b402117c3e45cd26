export { runCommand } from './audit/command.js';
export { findLeftovers, type Leftover, type LeftoverPlaces } from './audit/leftovers.js';
