import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSIONS } from '@swarmd/model';
import t from 'tap';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

t.test('versions › what the program says of itself is what its packages say', (t) => {
  const manifests = [
    'package.json',
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`),
  ];
  for (const path of manifests) {
    const { version } = JSON.parse(readFileSync(join(root, path), 'utf8')) as { version: string };
    t.equal(version, VERSIONS.swarmd, path);
  }
  t.end();
});
