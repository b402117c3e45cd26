import { type Control, SwarmdError } from '@swarmd/model';
import type { AskNode } from '../dispatcher/ask-node.js';
import { examine } from '../doctor/doctor.js';
import { serviceEndpoints } from '../doctor/service-endpoints.js';
import { trace } from '../doctor/trace.js';
import type { ControlDependencies } from './dependencies.js';
import { resolve } from './references.js';

/** What people ask when something does not reach something else. */
export function doctorControl(deps: ControlDependencies): Pick<Control, 'doctor' | 'trace' | 'serviceEndpoints'> {
  const nobody: AskNode = async (nodeId) => {
    throw new SwarmdError('unavailable', `node ${nodeId} is not connected to a manager`);
  };
  const asking = { ...deps, ask: deps.ask ?? nobody };
  return {
    doctor: (options, signal) => examine(asking, options, signal),
    trace: (options, signal) => trace(asking, options, signal),
    serviceEndpoints: async (ref) => {
      const { view } = deps.store;
      return serviceEndpoints(view, resolve(view, 'service', ref));
    },
  };
}
