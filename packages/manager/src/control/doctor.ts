import type { Control } from '@swarmd/model';
import { examine } from '../doctor/doctor.js';
import { serviceEndpoints } from '../doctor/service-endpoints.js';
import { trace } from '../doctor/trace.js';
import type { ControlDependencies } from './dependencies.js';
import { resolve } from './references.js';

/** What people ask when something does not reach something else. */
export function doctorControl(deps: ControlDependencies): Pick<Control, 'doctor' | 'trace' | 'serviceEndpoints'> {
  return {
    doctor: (options, signal) => examine(deps, options, signal),
    trace: (options, signal) => trace(deps, options, signal),
    serviceEndpoints: async (ref) => {
      const { view } = deps.store;
      return serviceEndpoints(view, resolve(view, 'service', ref));
    },
  };
}
