export { type Constraint, firstMismatch, nodeMatches, parseConstraints } from './constraint.js';
export { type ConstraintEnforcer, startConstraintEnforcer } from './enforcer-loop.js';
export { explainService } from './explain.js';
export { type Scheduler, type SchedulerDependencies, startScheduler } from './scheduler-loop.js';
