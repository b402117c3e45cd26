import type { ServiceSpec } from '@swarmd/model';
import { expandServiceTemplates, type TaskTemplateContext, taskTemplateContext } from '@swarmd/template';
import type { Assignment } from '../task/assignment.js';
import { containerName } from './names.js';
import type { NodeFacts } from './request.js';

/** What the templates of a task's spec, secrets and configs can refer to. */
export function templateContext(assignment: Assignment, spec: ServiceSpec, node: NodeFacts): TaskTemplateContext {
  return taskTemplateContext({
    service: { id: assignment.serviceId, name: assignment.serviceName, labels: spec.Labels ?? {} },
    node: {
      id: node.nodeId,
      hostname: assignment.nodeHostname === '' ? node.hostname : assignment.nodeHostname,
      platform: { os: node.os, architecture: node.architecture },
    },
    task: { id: assignment.id, name: containerName(assignment, node.nodeId), slot: assignment.slot },
  });
}

/** The spec with the templates of env, hostname and mounts expanded for one task. Throws TemplateError. */
export function expandSpec(spec: ServiceSpec, context: TaskTemplateContext): ServiceSpec {
  const container = spec.TaskTemplate?.ContainerSpec;
  if (!container) return spec;
  return {
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: expandServiceTemplates(container, context) },
  };
}
