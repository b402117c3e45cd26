import { startAllocator } from '../allocator/index.js';
import { startCertificateLoop } from '../ca/certificate-loop.js';
import { startOrchestrator, startReaper } from '../orchestrator/index.js';
import { startConstraintEnforcer, startScheduler } from '../scheduler/index.js';
import type { StartManagerLoop } from './manager.js';

/** The loops that make up a manager, in the order in which a service passes through them. */
export const MANAGER_LOOPS: readonly StartManagerLoop[] = [
  startOrchestrator,
  startAllocator,
  startScheduler,
  startConstraintEnforcer,
  startReaper,
  startCertificateLoop,
];
