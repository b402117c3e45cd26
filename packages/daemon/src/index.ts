export { type DaemonConfig, readConfig } from './config.js';
export { createMembership, type DaemonMembership, type MembershipDependencies } from './membership.js';
export { systemClock, systemRandom } from './system-ports.js';
