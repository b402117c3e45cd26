export { type Agent, type AgentOptions, createAgent } from './agent.js';
export { type AgentCore, type AgentPorts, assembleAgent } from './assemble.js';
export type { WantedNetwork } from './convert/networks.js';
export type { TaskNetwork } from './convert/request.js';
export { connectEngine, type EngineClient } from './engine/client.js';
export type { Inspection } from './engine/container-facts.js';
export { describeNode, type EngineInfo, engineInfo } from './engine/describe.js';
export type { PayloadStore } from './engine/payload-store.js';
export type { TaskEngine, TaskWork } from './engine/task-engine.js';
export type { ListedContainer } from './engine/watch.js';
export * from './labels.js';
export { createNetworkAuditsClient } from './network/audits.js';
export { createNodeNetworksClient } from './network/client.js';
export {
  createNodeNetworking,
  type NetworkReports,
  type NodeNetworking,
  type SessionNetworks,
} from './network/node-networking.js';
export { createOverlayNetworks, type NetworkProvider } from './network/overlay-networks.js';
export type { InquiryHandler, InquiryHandlers } from './session/inquiries.js';
export type { AssignedNetwork } from './task/assignment.js';
export type { Journal } from './worker/journal.js';
export { type AgentState, createAgentState } from './worker/state.js';
export type { Worker } from './worker/worker.js';
