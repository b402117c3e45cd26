import type { Worker } from '../worker/worker.js';
import type { LogSource } from './publish.js';

/** Logs of a worker's tasks. */
export function createLogSource(worker: Worker): LogSource {
  return {
    client: () => worker.client(),
    async task(id, wait, signal) {
      const started = await worker.waitFor(
        id,
        ({ container }) => (wait ? container.kind === 'running' || container.kind === 'exited' : true),
        signal,
      );
      if (started?.containerId === undefined) return undefined;
      return {
        serviceId: started.assignment.serviceId,
        containerId: started.containerId,
        tty: started.spec?.spec.TaskTemplate?.ContainerSpec?.TTY ?? false,
      };
    },
  };
}
