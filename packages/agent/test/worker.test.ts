import { join } from 'node:path';
import { Assignments_Kind } from '@swarmd/wire';
import { pino } from 'pino';
import t from 'tap';
import { buildParts } from '../src/parts.js';
import { openJournal } from '../src/worker/journal.js';
import { createAgentState } from '../src/worker/state.js';
import { agentOptions } from './support/system.js';

t.test('worker › refuses a full set older than what it has seen, and says so', async (t) => {
  const lines: { level: number; msg: string; index?: number; seen?: number }[] = [];
  const options = { ...agentOptions(), engineSocket: '/nonexistent.sock' };
  const logger = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const connect = (): never => {
    throw new Error('no manager is asked for here');
  };
  const journal = await openJournal(join(options.stateDir, 'agent.log'), logger);
  t.teardown(() => journal.close());
  const state = createAgentState(journal, options.nodeId, options.clusterId);
  const { worker } = buildParts({ ...options, logger, connect, managers: () => [] }, state, () => 0);
  const full = (storeIndex: number) => ({
    ...{ kind: Assignments_Kind.KIND_COMPLETE, appliesTo: 0, resultsIn: 1, lastPart: true, changes: [] },
    storeIndex,
  });
  t.equal(worker.take(full(10)), 'taken');
  t.same(lines, []);
  t.equal(worker.take(full(9)), 'stale');
  t.match(lines, [{ level: 40, msg: /older than what this node has seen: it is refused/, index: 9, seen: 10 }]);
  t.equal(worker.take(full(10)), 'taken');
});
