import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Random } from '@swarmd/model';
import { pino } from 'pino';
import type { AgentOptions } from '../../src/agent.js';
import { MemoryNodeNetworks } from './memory-node-networks.js';

/** The real clock. */
export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** Real randomness. */
export const random: Random = { bytes: (n) => randomBytes(n), float: () => Math.random() };

/** Says nothing, unless `SWARMD_TEST_LOG` names a level. */
export const logger = pino(
  { level: process.env['SWARMD_TEST_LOG'] ?? 'silent', base: null },
  pino.destination({ fd: 2, sync: true }),
);

/** Options of an agent that are the same in every test; secrets go to a tmpfs that engines of test hosts see too. */
export function agentOptions(): Pick<
  AgentOptions,
  | 'stateDir'
  | 'runDir'
  | 'nodeNetworks'
  | 'dataPathAddr'
  | 'nodeId'
  | 'clusterId'
  | 'swarmdVersion'
  | 'advertiseAddr'
  | 'clock'
  | 'random'
  | 'logger'
> {
  return {
    stateDir: mkdtempSync(join(tmpdir(), 'swarmd-agent-')),
    runDir: mkdtempSync('/dev/shm/swarmd-agent-'),
    nodeId: 'node1',
    clusterId: 'cluster1',
    swarmdVersion: '0.1.0',
    advertiseAddr: '127.0.0.1',
    nodeNetworks: new MemoryNodeNetworks(),
    dataPathAddr: '127.0.0.1',
    clock,
    random,
    logger,
  };
}
