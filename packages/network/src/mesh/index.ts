export { meshMac } from './addresses.js';
export { createMesh, type MeshDeps } from './mesh.js';
