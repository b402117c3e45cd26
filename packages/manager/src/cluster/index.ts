export { type AnsweringManager, type AnsweringOptions, startAnswering } from './answering.js';
export { type BootstrapOptions, bootstrapCluster, defaultClusterSpec } from './bootstrap.js';
export { type DataKeyRotation, dataKeyRotation, managersWithoutNextKey } from './data-key.js';
export type { Duty, StartDuty } from './duties.js';
export { createGrpcTransport, type GrpcTransport } from './grpc-transport.js';
export type {
  LeaderCallHandler,
  LeaderCallHandlers,
  LeaderCalls,
  LeaderContact,
  LeaderHandlers,
} from './leader-calls.js';
export type { Leadership } from './leadership.js';
export { MANAGER_LOOPS } from './loops.js';
export { LOST_MS, managerToReplace, startLostManagers } from './lost-managers.js';
export {
  type AssemblyOptions,
  assembleManager,
  createManager,
  type Manager,
  type ManagerLoopDependencies,
  type ManagerOptions,
  type StartManagerLoop,
} from './manager.js';
export type { ManagerNetwork, ManagerServices } from './manager-network.js';
export { type PreparedRestore, prepareRestore, type RestoreOptions } from './restore.js';
export { type BackedUp, type RestoringHost, restoredIndex } from './restore-plan.js';
export type { LeaderLine, LeaderLineHandlers, ManagerCallOptions } from './transport.js';
