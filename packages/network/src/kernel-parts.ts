import { join } from 'node:path';
import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';
import { createNameServer } from './dns/index.js';
import { createNamespaces, createNetworkPlane } from './kernel/index.js';
import { createMesh } from './mesh/index.js';
import type { NameSource } from './parts.js';
import type { KernelParts } from './swarmd-net.js';

/** What the kernel's side is made with. */
export interface KernelPartsDeps {
  runDir: string;
  clock: Clock;
  logger: Logger;
}

/** The real kernel's side: once a process, on its main thread, before anything else of it works. */
export function createKernelParts({ runDir, clock, logger }: KernelPartsDeps): (source: NameSource) => KernelParts {
  const namespaces = createNamespaces(join(runDir, 'netns'));
  return (source) => ({
    plane: createNetworkPlane({ namespaces, logger: logger.child({ component: 'plane' }) }),
    names: createNameServer({ namespaces, source, logger: logger.child({ component: 'dns' }), clock }),
    mesh: createMesh({
      ...{ namespaces, hostNamespace: namespaces.own, clock },
      logger: logger.child({ component: 'mesh' }),
    }),
  });
}
