export { macAddressOf } from './addresses.js';
export { type Commands, createCommands } from './commands.js';
export type { NetworkPlaneDeps } from './keep-network.js';
export type { ForwardingEntry, KernelView, Link } from './kernel-view.js';
export { createNamespaces, type KernelNamespaces } from './namespaces.js';
export { createNetworkPlane } from './plane.js';
