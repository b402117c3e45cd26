import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceSpecSchema } from '@swarmd/model';
import t from 'tap';
import { toStack } from '../src/index.js';
import { FIXTURES, loadFrom } from './from-disk.js';

const DIRECTORY = join(FIXTURES, 'examples');
const FILES = readdirSync(DIRECTORY).filter((file) => file.endsWith('.yaml'));

for (const file of FILES) {
  t.test(`examples › ${file} loads and its services are valid specs`, async (t) => {
    const { project, warnings } = loadFrom(DIRECTORY, [file]);
    const stack = toStack(project, { namespace: 'app' });
    t.ok(stack.services.length > 0);
    t.same(
      warnings.filter(({ severity }) => severity !== 'info'),
      [],
    );
    for (const spec of stack.services) t.ok(ServiceSpecSchema.safeParse(spec).success, spec.Name ?? '');
  });
}

t.test('examples › the web application says what a stack does not do', async (t) => {
  const { warnings } = toStack(loadFrom(DIRECTORY, ['web-application.yaml']).project, { namespace: 'app' });
  t.same(
    warnings.map(({ path, severity }) => `${severity} ${path}`),
    [
      'error services.web.build',
      'warning services.web.depends_on',
      'warning services.nginx.depends_on',
      'warning networks.app-network',
    ],
  );
});

t.test('examples › the complete application with its production file is both together', async (t) => {
  const { project } = loadFrom(DIRECTORY, ['complete.yaml', 'complete-production.yaml']);
  t.equal(Object.keys(project.services).length, 8);
  t.equal(project.services['api']?.deploy.replicas, 3);
  t.same(project.services['db']?.deploy.limits, { nanoCpus: 1e9, memoryBytes: 2 ** 30 });
  t.match(project.services['db']?.healthcheck?.test, ['CMD-SHELL', 'pg_isready -U postgres']);
  const { warnings } = toStack(project, { namespace: 'app' });
  const secret = warnings.find(({ path }) => path === 'secrets.jwt_secret');
  t.match(secret, { severity: 'error', message: /jwt_secret\.txt cannot be read/ });
});

t.test('examples › the complete application with its development file mounts the sources', async (t) => {
  const { project } = loadFrom(DIRECTORY, ['complete.yaml', 'complete-development.yaml']);
  t.same(project.services['api']?.command, ['npm', 'run', 'dev']);
  t.match(project.services['api']?.environment, { NODE_ENV: 'development', DEBUG: '1' });
  t.same(
    project.services['api']?.volumes.map(({ type, source, target }) => [type, source, target]),
    [
      ['bind', join(DIRECTORY, 'backend'), '/app'],
      ['volume', undefined, '/app/node_modules'],
    ],
  );
});
