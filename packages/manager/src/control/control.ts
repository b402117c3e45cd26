import type { Control } from '@swarmd/model';
import { backupControl } from './backup.js';
import { clusterControl } from './cluster.js';
import type { ControlDependencies } from './dependencies.js';
import { doctorControl } from './doctor.js';
import { eventControl } from './events.js';
import { logControl } from './logs.js';
import { networkControl } from './networks.js';
import { nodeControl } from './nodes.js';
import { configControl, secretControl } from './secrets-and-configs.js';
import { serviceReads } from './service-reads.js';
import { serviceWrites } from './services.js';
import { taskReads } from './tasks.js';

/**
 * What the Docker Engine API's swarm part does, on a store. Reads answer from the durable state in one synchronous
 * step; each write is one transaction that checks every rule across objects.
 */
export function createControl(deps: ControlDependencies): Control {
  const own = { ...deps, logger: deps.logger.child({ component: 'control' }) };
  return {
    ...serviceReads(own),
    ...serviceWrites(own),
    ...taskReads(own),
    ...nodeControl(own),
    ...secretControl(own),
    ...configControl(own),
    ...networkControl(own),
    ...clusterControl(own),
    ...logControl(own),
    ...eventControl(own),
    ...backupControl(own),
    ...doctorControl(own),
  };
}
