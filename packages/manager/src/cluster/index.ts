export { type BootstrapOptions, bootstrapCluster, defaultClusterSpec } from './bootstrap.js';
export type { LeaderCalls, LeaderContact, LeaderHandlers } from './leader-calls.js';
export { MANAGER_LOOPS } from './loops.js';
export {
  createManager,
  type Manager,
  type ManagerLoopDependencies,
  type ManagerOptions,
  type StartManagerLoop,
} from './manager.js';
export type { AttachedManagers, ManagerPeers } from './manager-peers.js';
