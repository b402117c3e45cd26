export { createControl } from './control.js';
export type { ControlDependencies, LogSource } from './dependencies.js';
