import { join } from 'node:path';
import { Assignments_Kind } from '@swarmd/wire';
import { pino } from 'pino';
import t from 'tap';
import type { EngineClient } from '../src/engine/client.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../src/labels.js';
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

t.test('worker › removes a network that was taken away while the engine was down', async (t) => {
  const options = { ...agentOptions(), engineSocket: '/nonexistent.sock' };
  const logger = pino({ level: 'silent' });
  const connect = (): never => {
    throw new Error('no manager is asked for here');
  };
  const journal = await openJournal(join(options.stateDir, 'agent.log'), logger);
  const state = createAgentState(journal, options.nodeId, options.clusterId);
  const { worker } = buildParts({ ...options, logger, connect, managers: () => [] }, state, () => 0);
  t.teardown(async () => {
    worker.close();
    await journal.close();
  });
  let removed = (_: string): void => {};
  const removal = new Promise<string>((resolve) => {
    removed = resolve;
  });
  const Labels = { [CLUSTER_LABEL]: options.clusterId, [NETWORK_LABEL]: 'n1' };
  const docker = {
    listNetworks: async () => [{ Id: 'e1', Name: 'front', Driver: 'swarmd', Labels }],
    getNetwork: (id: string) => ({ remove: async () => removed(id) }),
  };
  const client = { docker, apiVersion: '1.44', engineVersion: 'test' } as unknown as EngineClient;
  const spec = Buffer.from(JSON.stringify({ Name: 'front' }));
  const network = { id: 'n1', spec, allocation: Buffer.alloc(0), addressBlocks: [] };
  const change = (remove: boolean) => ({ remove, item: { $case: 'network' as const, value: network } });
  const set = { storeIndex: 1, lastPart: true };
  const { KIND_COMPLETE, KIND_INCREMENTAL } = Assignments_Kind;
  worker.take({ ...set, kind: KIND_COMPLETE, appliesTo: 0, resultsIn: 1, changes: [change(false)] });
  worker.onUp(client, []);
  worker.onDown();
  worker.take({ ...set, kind: KIND_INCREMENTAL, appliesTo: 1, resultsIn: 2, changes: [change(true)] });
  worker.onUp(client, []);
  t.equal(await removal, 'e1');
});
