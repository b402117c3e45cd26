export { macAddressOf } from './addresses.js';
export { createNamespaces, type KernelNamespaces } from './namespaces.js';
export { createNetworkPlane, type NetworkPlaneDeps } from './plane.js';
