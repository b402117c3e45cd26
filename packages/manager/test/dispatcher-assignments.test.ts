import { type ReadView, type Store, TASK_STATES, type TaskState, type WriteTx } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import { AssignmentChange, Assignments, RECEIVE_BYTES } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { assignmentMessages } from '../src/dispatcher/assignment-messages.js';
import { type AssignmentSet, assignmentSet, diffAssignments } from '../src/dispatcher/assignments.js';
import { touchedBy } from '../src/dispatcher/commit-routing.js';
import { changeKey } from './support/test-agent.js';
import { realClock } from './support/test-manager.js';

const NODES = ['n1', 'n2'];
const NONE: AssignmentSet = new Map();

/** What an agent holds after messages: the bytes of each thing, by key. */
type Held = Map<string, string>;

function apply(held: Held, messages: readonly Assignments[]): Held {
  const next = new Map(messages[0]?.appliesTo === 0 ? [] : held);
  for (const message of messages) {
    for (const change of Assignments.decode(Assignments.encode(message).finish()).changes) {
      const bytes = Buffer.from(AssignmentChange.encode(change).finish()).toString('hex');
      if (change.remove) next.delete(changeKey(change));
      else next.set(changeKey(change), bytes);
    }
  }
  return next;
}

function messagesFor(from: AssignmentSet, to: AssignmentSet, appliesTo: number, maxBytes?: number): Assignments[] {
  const kind = appliesTo === 0 ? 'complete' : 'incremental';
  return assignmentMessages(
    diffAssignments(from, to),
    { kind, appliesTo, resultsIn: appliesTo + 1, storeIndex: 1 },
    maxBytes,
  );
}

const sorted = (held: Held): [string, string][] => [...held].sort(([a], [b]) => (a < b ? -1 : 1));

/** One change that a user or a loop may make. */
type Step = {
  kind: 'create' | 'move' | 'desire' | 'observe' | 'delete' | 'rename' | 'label' | 'respec';
  pick: number;
  state: TaskState;
};

const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom('create', 'move', 'desire', 'observe', 'delete', 'rename', 'label', 'respec'),
    pick: fc.nat(1000),
    state: fc.constantFrom(...TASK_STATES),
  }),
  { minLength: 1, maxLength: 25 },
);

function createNeeds(tx: WriteTx): void {
  for (const id of NODES) tx.create('node', buildNode(id));
  for (const id of ['s1', 's2'])
    tx.create('secret', { ID: id, Spec: { Name: id, Data: Buffer.from(id).toString('base64') } });
  tx.create('config', { ID: 'c1', Spec: { Name: 'c1', Data: Buffer.from('c1').toString('base64') } });
  for (const [i, id] of ['a', 'b'].entries()) createService(tx, id, specNeeding(id, [`s${i + 1}`, 's1']));
}

function specNeeding(name: string, secrets: readonly string[]) {
  const spec = buildServiceSpec(name, 1);
  const file = { Name: 'f', UID: '0', GID: '0', Mode: 0o400 };
  spec.TaskTemplate!.ContainerSpec!.Secrets = secrets.map((id) => ({ SecretID: id, SecretName: id, File: file }));
  spec.TaskTemplate!.ContainerSpec!.Configs = [{ ConfigID: 'c1', ConfigName: 'c1', File: file }];
  return spec;
}

function take(tx: WriteTx, { kind, pick, state }: Step): void {
  const tasks = [...tx.all('task')].sort((a, b) => (a.ID < b.ID ? -1 : 1));
  const task = tasks[pick % Math.max(1, tasks.length)];
  const service = tx.get('service', pick % 2 === 0 ? 'a' : 'b')!;
  if (kind === 'create') {
    const Status = { Timestamp: tx.now, State: state, Message: '' };
    tx.create('task', buildTask(service, `t${tx.index}`, { NodeID: ['', ...NODES][pick % 3]!, Status }));
  } else if (kind === 'label') {
    const secret = tx.get('secret', 's1')!;
    tx.put('secret', { ...secret, Spec: { ...secret.Spec, Labels: { pick: String(pick) } } });
  } else if (kind === 'rename') {
    const node = tx.get('node', NODES[pick % 2]!)!;
    tx.put('node', { ...node, Description: { ...node.Description!, Hostname: `h${pick % 3}` } });
  } else if (task === undefined) return;
  else if (kind === 'move') tx.put('task', { ...task, NodeID: NODES[pick % 2]! });
  else if (kind === 'desire') tx.put('task', { ...task, DesiredState: state });
  else if (kind === 'observe') tx.put('task', { ...task, Status: { ...task.Status, State: state } });
  else if (kind === 'respec') tx.put('task', { ...task, SpecVersion: service.SpecVersion, ServiceID: service.ID });
  else tx.delete('task', task.ID);
}

async function world(): Promise<Store> {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  await store.update(createNeeds);
  return store;
}

t.test('assignments › after any history, the differences amount to the full set', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(undefined, 300), async (history, maxBytes) => {
      const store = await world();
      const agents = NODES.map((nodeId) => ({ nodeId, held: new Map() as Held, sent: NONE, sequence: 0 }));
      const bringUpToDate = (view: ReadView, touched: ReadonlySet<string>): void => {
        for (const agent of agents) {
          if (agent.sequence > 0 && !touched.has(agent.nodeId)) continue;
          const next = assignmentSet(view, agent.nodeId);
          agent.held = apply(agent.held, messagesFor(agent.sent, next, agent.sequence, maxBytes));
          agent.sent = next;
          agent.sequence += 1;
        }
      };
      bringUpToDate(store.view, new Set());
      store.watch(({ events }) => {
        const touched = new Set<string>();
        for (const { nodeIds, heldKey, everyone } of events.map(touchedBy)) {
          for (const nodeId of nodeIds) touched.add(nodeId);
          for (const { nodeId, sent } of agents) if (everyone || sent.has(heldKey ?? '')) touched.add(nodeId);
        }
        bringUpToDate(store.view, touched);
      });
      for (const step of history) await store.update((tx) => take(tx, step));
      for (const { nodeId, held } of agents) {
        const full = apply(new Map(), messagesFor(NONE, assignmentSet(store.view, nodeId), 0));
        if (JSON.stringify(sorted(held)) !== JSON.stringify(sorted(full))) return false;
      }
      return true;
    }),
    { numRuns: 100 },
  );
  t.pass('for both nodes, in every run');
});

t.test('assignments › needs come before the tasks that have them, and go after', async (t) => {
  const store = await world();
  const task = await store.update((tx) => {
    const Status = { Timestamp: tx.now, State: 'assigned', Message: '' } as const;
    return tx.create('task', buildTask(tx.get('service', 'a')!, 't1', { NodeID: 'n1', Status }));
  });
  const set = assignmentSet(store.view, 'n1');
  const put = diffAssignments(NONE, set).put.map(({ key }) => key);
  t.same(put, [`spec/a/${task.SpecVersion}`, 'secret/s1', 'config/c1', 'task/t1']);
  const remove = diffAssignments(set, NONE).remove.map(({ key }) => key);
  t.same(remove, [...put].reverse());
});

t.test('assignments › of the states of a task', async (t) => {
  for (const state of TASK_STATES) {
    const store = await world();
    await store.update((tx) => {
      const Status = { Timestamp: tx.now, State: state, Message: '' };
      tx.create('task', buildTask(tx.get('service', 'a')!, 't1', { NodeID: 'n1', Status }));
    });
    const kinds = [...assignmentSet(store.view, 'n1').values()].map(({ kind }) => kind);
    const expected = {
      before: [],
      alive: ['config', 'secret', 'spec', 'task'],
      ended: ['spec', 'task'],
    }[
      ['new', 'pending'].includes(state)
        ? 'before'
        : TASK_STATES.indexOf(state) <= TASK_STATES.indexOf('running')
          ? 'alive'
          : 'ended'
    ];
    t.same(kinds.sort(), expected, state);
  }
});

t.test('assignments › messages keep to the limit unless one change alone is larger', (t) => {
  const size = fc.integer({ min: 0, max: 3_000 });
  fc.assert(
    fc.property(fc.array(size, { maxLength: 30 }), (sizes) => {
      const items = sizes.map((bytes, i): [string, AssignmentSet extends ReadonlyMap<string, infer I> ? I : never] => {
        const stamp = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
        const secret = { ID: `s${i}`, Spec: { Name: 's', Data: Buffer.alloc(bytes).toString('base64') }, ...stamp };
        return [`secret/s${i}`, { kind: 'secret', key: `secret/s${i}`, secret }];
      });
      const messages = messagesFor(NONE, new Map(items), 0, 2_000);
      const fits = messages.every((m) => Assignments.encode(m).finish().length <= 2_000 || m.changes.length === 1);
      const all = messages.reduce((sum, m) => sum + m.changes.length, 0) === sizes.length;
      return fits && all && messages.every((m, i) => m.lastPart === (i === messages.length - 1));
    }),
  );
  t.pass('in every run');
  t.end();
});

t.test('assignments › what no agent could receive is left out, the rest is sent', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  await store.update((tx) => {
    tx.create('node', buildNode('n1'));
    for (const name of ['small', 'large']) {
      const spec = buildServiceSpec(name, 1);
      spec.Labels = { filler: 'x'.repeat(name === 'large' ? RECEIVE_BYTES : 10) };
      const Status = { Timestamp: tx.now, State: 'assigned' as const, Message: '' };
      tx.create('task', buildTask(createService(tx, name, spec), `task-${name}`, { NodeID: 'n1', Status }));
    }
  });
  const messages = messagesFor(NONE, assignmentSet(store.view, 'n1'), 0);
  for (const message of messages) t.ok(Assignments.encode(message).finish().length <= RECEIVE_BYTES);
  const kinds = messages.flatMap(({ changes }) => changes.map(({ item }) => item?.$case)).sort();
  t.same(kinds, ['spec', 'task', 'task']);
});
