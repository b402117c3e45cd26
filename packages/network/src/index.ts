export { runCommand } from './audit/command.js';
export { findLeftovers, type Leftover, type LeftoverPlaces } from './audit/leftovers.js';
// For benchmarks: the kernel's side of the networks, without the process around it.
export { createNamespaces, createNetworkPlane, type KernelNamespaces } from './kernel/index.js';
export type { NetworkMembers, NetworkPlane } from './parts.js';
