export { createControl } from './control.js';
export type { ControlDependencies, LogSource } from './dependencies.js';
export { perHostNetworkWarnings } from './per-host-networks.js';
