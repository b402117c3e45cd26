import type { Scenario } from '../support/scenario.js';
import { apiErrors } from './api-errors.js';
import { autolock } from './autolock.js';
import { errors } from './errors.js';
import { full } from './full-service.js';
import { joining, leaving, noSwarm, oneNode } from './membership.js';
import { nodes } from './nodes.js';
import { failures, placement } from './placement.js';
import { configs, secrets } from './secrets-and-configs.js';
import { globals, lifecycle } from './services.js';
import { stackFiles, stacks } from './stacks.js';
import { updates } from './updates.js';

/** All stories in their order; each leaves nothing but the cluster behind. */
export const scenarios: readonly Scenario[] = [
  noSwarm,
  oneNode,
  joining,
  nodes,
  lifecycle,
  globals,
  full,
  secrets,
  configs,
  placement,
  failures,
  updates,
  errors,
  apiErrors,
  stacks,
  autolock,
  leaving,
];

/** Files that the stories read. */
export const files = stackFiles;
