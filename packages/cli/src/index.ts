export type { Screen } from './output/screen.js';
export { type ProcessIo, run } from './program/run.js';
