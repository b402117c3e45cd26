import { type Control, type Service, specKey } from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { resolve, resolveTask } from './references.js';

/** Logs: finds out what is meant and whether it has a terminal; lines come from the log source. */
export function logControl({ store, logSource }: ControlDependencies): Pick<Control, 'logs'> {
  const hasTty = (service: Service | undefined): boolean => service?.Spec.TaskTemplate?.ContainerSpec?.TTY === true;
  return {
    async logs(selector, options, signal) {
      const view = store.view;
      if ('service' in selector) {
        const service = resolve(view, 'service', selector.service);
        return {
          tty: hasTty(service),
          records: logSource.subscribe({ serviceId: service.ID }, options, signal),
        };
      }
      const task = resolveTask(view, selector.task);
      const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec;
      const tty = spec ? spec.TaskTemplate?.ContainerSpec?.TTY === true : hasTty(view.get('service', task.ServiceID));
      return { tty, records: logSource.subscribe({ taskId: task.ID }, options, signal) };
    },
  };
}
