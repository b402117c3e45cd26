import { type Control, modeName, type Service } from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { checkFilters, checkFilterValues, equalTest, labelTest, prefixTest, select } from './filters.js';
import { resolve } from './references.js';
import { serviceStatus, serviceToApi, withDefaults } from './service-shapes.js';

const FILTERS = ['name', 'id', 'label', 'mode', 'runtime'];
const MODES = ['replicated', 'global', 'replicated-job', 'global-job'];

/** The reads of services. */
export function serviceReads({ store }: ControlDependencies): Pick<Control, 'listServices' | 'getService'> {
  return {
    async listServices(filters, { status }) {
      checkFilters(filters, FILTERS);
      checkFilterValues(filters, 'mode', MODES);
      const view = store.view;
      const services = select<Service>(view.all('service'), [
        (service) => service.PendingDelete !== true,
        prefixTest(filters['name'], (s) => s.Spec.Name ?? ''),
        prefixTest(filters['id'], (s) => s.ID),
        labelTest(filters['label'], (s) => s.Spec.Labels),
        equalTest(filters['mode'], (s) => modeName(s.Spec)),
        equalTest(filters['runtime'], (s) => s.Spec.TaskTemplate?.Runtime ?? 'container'),
      ]);
      return services.map((service) =>
        status ? { ...serviceToApi(service), ServiceStatus: serviceStatus(view, service) } : serviceToApi(service),
      );
    },
    async getService(ref, { insertDefaults }) {
      const service = resolve(store.view, 'service', ref);
      return serviceToApi(service, insertDefaults ? withDefaults(service.Spec) : service.Spec);
    },
  };
}
