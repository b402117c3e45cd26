import type { ServiceSpec } from '@swarmd/model';
import { expandServiceTemplates, TemplateError, taskTemplateContext } from '@swarmd/template';
import { invalid } from './errors.js';

/** Expands a spec's templates for an imaginary task, so that a broken one is refused now and not on a node later. */
export function expandSpecTemplates(spec: ServiceSpec): void {
  const container = spec.TaskTemplate?.ContainerSpec;
  if (!container) return;
  const context = taskTemplateContext({
    service: { id: 'serviceid', name: spec.Name || 'servicename', labels: spec.Labels ?? {} },
    node: { id: 'nodeid', hostname: 'nodeHostname', platform: { os: 'os', architecture: 'architecture' } },
    task: { id: 'taskid', name: 'taskname', slot: 1 },
  });
  try {
    expandServiceTemplates(container, context);
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw invalid(thrown.message, 'TaskTemplate.ContainerSpec');
    throw thrown;
  }
}
