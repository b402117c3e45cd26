export type { CommandOptions, CommandResult } from './command.js';
export { callEngine, type EngineCall } from './engine-api.js';
export { type ExecOptions, Host } from './host.js';
export { busyboxImage, importBusyboxImage } from './images/busybox.js';
export {
  type EngineAddress,
  type ImageChanges,
  type ImageFile,
  importImage,
} from './images/tar.js';
export type { SpawnOptions } from './inside.js';
export { attachLab, createLab, Lab, type LabOptions, whyNoHosts } from './lab.js';
export { type EngineVersion, type HostOptions, type HostState, type LabState, labsRoot } from './state.js';
