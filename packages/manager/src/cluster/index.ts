export { type BootstrapOptions, bootstrapCluster, defaultClusterSpec } from './bootstrap.js';
export type { Duty, StartDuty } from './duties.js';
export { createGrpcTransport, type GrpcTransport } from './grpc-transport.js';
export type { LeaderCallHandler, LeaderCallHandlers, LeaderCalls } from './leader-calls.js';
export type { Leadership } from './leadership.js';
export { MANAGER_LOOPS } from './loops.js';
export {
  createManager,
  type Manager,
  type ManagerLoopDependencies,
  type ManagerOptions,
  type StartManagerLoop,
} from './manager.js';
