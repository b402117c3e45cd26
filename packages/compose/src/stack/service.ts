import type { ServiceSpec } from '@swarmd/model';
import { defined } from '../project/reader.js';
import type { Project, Service } from '../project/types.js';
import { convertContainer } from './container.js';
import {
  convertEndpoint,
  convertMode,
  convertPlacement,
  convertResources,
  convertRestart,
  convertRollout,
} from './deploy.js';
import { omitEmpty, STACK_IMAGE_LABEL, scoped, stackLabels } from './namespace.js';
import { convertMemberships } from './networks.js';
import type { ServiceReport } from './report.js';
import { reportUnhonoured } from './unhonoured.js';

/**
 * A service of a project as Docker's ServiceSpec, as `docker stack deploy` would send it; what a ServiceSpec cannot hold
 * is reported. Source: docker/cli, `cli/compose/convert/service.go`.
 * @throws SwarmdError `invalid-argument` for values that contradict each other.
 */
export function convertService(
  project: Project,
  service: Service,
  namespace: string,
  report: ServiceReport,
): ServiceSpec {
  reportUnhonoured(service, report);
  if (service.image === undefined && !Object.hasOwn(service.other, 'build')) {
    report('image', 'error', 'a service needs an image');
  }
  const { logging, deploy } = service;
  return {
    Name: scoped(namespace, service.name),
    Labels: { ...stackLabels(namespace, deploy.labels), [STACK_IMAGE_LABEL]: service.image ?? '' },
    TaskTemplate: {
      ContainerSpec: convertContainer(project, service, namespace, report),
      Resources: convertResources(service),
      Placement: convertPlacement(service),
      Networks: convertMemberships(project, service, namespace),
      ForceUpdate: 0,
      ...defined({
        RestartPolicy: convertRestart(project, service, report),
        LogDriver: logging === undefined ? undefined : omitEmpty({ Name: logging.driver, Options: logging.options }),
      }),
    },
    Mode: convertMode(project, service),
    ...defined({
      UpdateConfig: convertRollout(deploy.updateConfig),
      RollbackConfig: convertRollout(deploy.rollbackConfig),
    }),
    EndpointSpec: convertEndpoint(service),
  };
}
