import { join } from 'node:path';
import { createMemoryLog, openLevelLog } from '../src/index.js';
import { silent, temporaryDirectory } from './builders.js';
import { conformance } from './conformance.js';

conformance('memory', async () => {
  const log = createMemoryLog();
  return { open: async () => log };
});

conformance('level', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const dataKey = Buffer.alloc(32, 7);
  return { open: () => openLevelLog({ dir, dataKey, logger: silent }) };
});
