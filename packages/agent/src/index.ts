export { type Agent, type AgentOptions, createAgent } from './agent.js';
export type { WantedNetwork } from './convert/networks.js';
export type { TaskNetwork } from './convert/request.js';
export type { NetworkProvider } from './engine/bridge-networks.js';
export { connectEngine, type EngineClient } from './engine/client.js';
export { describeNode, type EngineInfo, engineInfo } from './engine/describe.js';
export type { IngressPublisher } from './engine/ingress.js';
export * from './labels.js';
export type { AssignedNetwork } from './task/assignment.js';
