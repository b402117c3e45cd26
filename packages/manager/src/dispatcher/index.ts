export { type AssignmentItem, type AssignmentSet, assignmentSet, diffAssignments } from './assignments.js';
export { createDispatcher, type Dispatcher, type DispatcherDependencies } from './dispatcher.js';
export { gracePeriodMs, heartbeatPeriodMs } from './liveness.js';
export type { LogBroker } from './log-broker.js';
export type { LogSelector } from './log-subscription.js';
export { startNodeLoop } from './node-loop.js';
