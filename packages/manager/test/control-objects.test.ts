import { CLUSTER_KEY, SwarmdError, type Task } from '@swarmd/model';
import { buildNode, buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import t from 'tap';
import { controlCluster, refusal, serviceBody } from './control-cluster.js';

const rpc = (name: string, text: string): string => `rpc error: code = ${name} desc = ${text}`;
const base64 = (bytes: number): string => Buffer.alloc(bytes, 120).toString('base64');

t.test('control › a node takes labels, availability and role, and keeps the rest', async (t) => {
  const { control, store } = await controlCluster([buildNode('n1')]);
  const version = store.view.get('node', 'n1')!.Version.Index;
  await control.updateNode('n1', version, { Labels: { zone: 'a' }, Role: 'manager', Availability: 'drain' });
  const node = store.view.get('node', 'n1')!;
  t.same(node.Spec, { Labels: { zone: 'a' }, Role: 'manager', Availability: 'drain' });
  t.equal(node.CertificateRole, undefined, 'the certificate follows on its own');
  t.equal(
    await refusal(control.updateNode('n1', version, {})),
    `out-of-sequence: ${rpc('Unknown', 'update out of sequence')}`,
  );
  t.equal(
    await refusal(control.updateNode('n1', 0, { Availability: 'asleep' })),
    'invalid-argument: invalid Availability: "asleep": accepted are active, pause, drain',
  );
});

t.test('control › the last manager is neither demoted nor removed', async (t) => {
  const { control, store } = await controlCluster();
  const version = store.view.get('node', 'm1')!.Version.Index;
  t.equal(
    await refusal(control.updateNode('m1', version, { Role: 'worker' })),
    `failed-precondition: ${rpc('FailedPrecondition', 'attempting to demote the last manager of the swarm')}`,
  );
  t.match(await refusal(control.removeNode('m1', true)), /It must be demoted to worker before removal/);
});

t.test('control › a standby is one beside the only manager, from the start, and is missed by nobody', async (t) => {
  const { control, store } = await controlCluster([buildNode('n1'), buildNode('n2')]);
  const standby = { Role: 'manager', Labels: { 'swarmd.standby': 'true' } } as const;
  const update = (id: string, spec: object): Promise<void> =>
    control.updateNode(id, store.view.get('node', id)!.Version.Index, spec);
  t.match(await refusal(update('m1', standby)), /m1 is a manager with a vote and cannot become a standby as it is/);
  await update('n1', { Labels: standby.Labels });
  await update('n1', standby);
  t.match(await refusal(update('n2', standby)), /n1 is the standby already, and there is one at most/);
  t.match(await refusal(update('m1', { Role: 'worker' })), /last manager/);
  await update('n1', { ...standby, Availability: 'drain' });
  await update('n1', { Role: 'worker' });
  await update('n1', { Role: 'manager' });
  t.match(await refusal(update('n2', standby)), /with one manager, and this one has 2/);
});

t.test('control › where managers have no votes there is no standby', async (t) => {
  const { control, store } = await controlCluster([buildNode('n1')], {
    refuseStandby: () => new SwarmdError('failed-precondition', 'every manager serves'),
  });
  const version = store.view.get('node', 'n1')!.Version.Index;
  const standby = { Role: 'manager', Labels: { 'swarmd.standby': 'true' } } as const;
  t.match(await refusal(control.updateNode('n1', version, standby)), /^failed-precondition: .*every manager serves/);
});

t.test('control › a worker is not promoted where only one manager can be', async (t) => {
  const { control, store } = await controlCluster([buildNode('n1')], {
    refuseManager: async () => new SwarmdError('failed-precondition', 'there is no etcd'),
  });
  const version = store.view.get('node', 'n1')!.Version.Index;
  t.match(
    await refusal(control.updateNode('n1', version, { Role: 'manager' })),
    /^failed-precondition: .*there is no etcd/,
  );
  await control.updateNode('n1', version, { Role: 'worker', Availability: 'pause' });
});

t.test('control › a ready node is only removed by force; its tasks are orphaned and it is locked out', async (t) => {
  const { control, store, clock } = await controlCluster([buildNode('n1')]);
  await store.update((tx) => {
    const service = createService(tx, 's1', buildServiceSpec('web', 2));
    const status = (State: Task['Status']['State']) => ({ Timestamp: tx.now, Message: '', State });
    tx.create('task', buildTask(service, 't1', { NodeID: 'n1', Status: status('running') }));
    tx.create('task', buildTask(service, 't2', { NodeID: 'n1', Status: status('failed') }));
    tx.create('task', buildTask(service, 't3', { NodeID: 'm1', Status: status('running') }));
  });
  t.equal(
    await refusal(control.removeNode('n1', false)),
    `failed-precondition: ${rpc('FailedPrecondition', "node n1 is not down and can't be removed")}`,
  );
  await control.removeNode('n1', true);
  t.equal(store.view.get('node', 'n1'), undefined);
  t.same(
    ['t1', 't2', 't3'].map((id) => store.view.get('task', id)?.Status.State),
    ['orphaned', 'failed', 'running'],
  );
  const removed = store.view.get('cluster', CLUSTER_KEY)!.RemovedNodes;
  t.same(Object.keys(removed), ['n1'], 'entries that have run out are forgotten');
  t.equal(Date.parse(removed['n1']!.Expiry) - clock.now(), 90 * 24 * 3_600_000);
});

t.test('control › a manager is removed once it is demoted, though it never came back to hear of it', async (t) => {
  const lost = { Spec: { Role: 'manager' as const, Availability: 'active' as const } };
  const ManagerStatus = { Leader: false, Reachability: 'unreachable' as const, Addr: '10.0.0.9:2377' };
  const { control, store } = await controlCluster([
    buildNode('n1', {
      ...lost,
      CertificateRole: 'manager',
      ManagerStatus,
      Status: { State: 'down', Addr: '10.0.0.9' },
    }),
    ...['n2', 'n3'].map((id) =>
      buildNode(id, { Spec: lost.Spec, ManagerStatus: { ...ManagerStatus, Reachability: 'reachable' } }),
    ),
  ]);
  t.match(await refusal(control.removeNode('n1', true)), /must be demoted to worker before removal/);
  await control.updateNode('n1', store.view.get('node', 'n1')!.Version.Index, { ...lost.Spec, Role: 'worker' });
  await control.removeNode('n1', false);
  t.equal(store.view.get('node', 'n1'), undefined);
});

t.test('control › nodes are found by hostname; two of one name are ambiguous', async (t) => {
  const described = buildNode('n1').Description!;
  const { control } = await controlCluster([
    buildNode('n1', { Description: { ...described, Hostname: 'twin' } }),
    buildNode('n2', { Description: { ...described, Hostname: 'twin' } }),
  ]);
  t.equal(await refusal(control.getNode('twin')), 'invalid-argument: node twin is ambiguous (2 matches found)');
  t.equal((await control.getNode('m1')).ID, 'm1');
  t.equal((await control.listNodes({ role: ['worker'] })).length, 2);
  t.match(await refusal(control.listNodes({ role: ['boss'] })), /invalid role filter: 'boss'/);
});

for (const kind of ['Secret', 'Config'] as const) {
  const word = kind.toLowerCase();
  const limit = kind === 'Secret' ? 512_000 : 1_024_000;
  t.test(`control › a ${word} has a name, data below the limit, and only labels that change`, async (t) => {
    const { control, store } = await controlCluster();
    const size = `${word} data must be larger than 0 and less than ${limit} bytes`;
    for (const Data of [base64(0), base64(limit)]) {
      t.equal(
        await refusal(control[`create${kind}`]({ Name: 'a', Data })),
        `invalid-argument: ${rpc('InvalidArgument', size)}`,
      );
    }
    t.match(await refusal(control[`create${kind}`]({ Name: '-a', Data: base64(1) })), /invalid name, only 64/);
    for (const [Data, at] of [
      ['not base64!', 3],
      ['abcde', 5],
      ['ab=c', 4],
    ] as const) {
      t.equal(
        await refusal(control[`create${kind}`]({ Name: 'a', Data })),
        `invalid-argument: illegal base64 data at input byte ${at}`,
      );
    }
    const { ID } = await control[`create${kind}`]({ Name: 'a', Labels: null, Data: base64(limit - 1) });
    t.equal(
      await refusal(control[`create${kind}`]({ Name: 'A', Data: base64(1) })),
      `already-exists: ${rpc('AlreadyExists', `${word} A already exists`)}`,
    );
    const shown = await control[`get${kind}`]('a');
    t.equal('Data' in (shown['Spec'] as object), kind === 'Config', 'the data of a secret is never given out');
    const version = (shown['Version'] as { Index: number }).Index;
    await control[`update${kind}`](ID, version, { Name: 'a', Labels: { k: 'v' } });
    const stored = store.view.get(kind === 'Secret' ? 'secret' : 'config', ID)!;
    t.same(stored.Spec.Labels, { k: 'v' });
    t.equal(stored.Spec.Data?.length, base64(limit - 1).length, 'the data stays');
    t.equal(
      await refusal(control[`update${kind}`](ID, stored.Version.Index, { Name: 'a', Data: base64(3) })),
      `invalid-argument: ${rpc('InvalidArgument', 'only updates to Labels are allowed')}`,
    );
  });

  t.test(`control › a ${word} in use is not removed, and says by whom it is used`, async (t) => {
    const { control } = await controlCluster();
    const { ID } = await control[`create${kind}`]({ Name: 'a', Data: base64(1) });
    const reference = { [`${kind}ID`]: ID, [`${kind}Name`]: 'a', File: { Name: 'f' } };
    const body = (name: string) =>
      serviceBody(name, { TaskTemplate: { ContainerSpec: { Image: 'x', [`${kind}s`]: [reference] } } });
    await control.createService(body('web'), {});
    t.match(await refusal(control[`remove${kind}`]('a')), `${word} 'a' is in use by the following service: web`);
    await control.createService(body('api'), {});
    t.match(await refusal(control[`remove${kind}`]('a')), `${word} 'a' is in use by the following services: api, web`);
    const twice = [reference, { ...reference }];
    const clash = serviceBody('x', { TaskTemplate: { ContainerSpec: { Image: 'x', [`${kind}s`]: twice } } });
    t.match(
      await refusal(control.createService(clash, {})),
      `${word} references 'a' and 'a' have a conflicting target: 'f'`,
    );
    await control.removeService('web');
    await control.removeService('api');
    await control[`remove${kind}`]('a');
    t.equal(await refusal(control[`get${kind}`]('a')), `not-found: ${word} a not found`);
  });
}

t.test('control › a network in use is not removed', async (t) => {
  const { control } = await controlCluster();
  const { ID } = await control.createNetwork({ Name: 'n', Driver: 'overlay', CheckDuplicate: true });
  t.match(await refusal(control.createNetwork({ Name: 'n' })), 'already-exists: network with name n already exists');
  const service = await control.createService(serviceBody('web', { Networks: [{ Target: 'n' }] }), {});
  t.equal(
    await refusal(control.removeNetwork('n')),
    `failed-precondition: ${rpc('FailedPrecondition', `network ${ID} is in use by service ${service.ID}`)}`,
  );
  await control.removeService('web');
  await control.removeNetwork('n');
  t.equal(await refusal(control.getNetwork('n')), 'not-found: network n not found');
});

t.test('control › the cluster merges changes and rotates the tokens that were asked for', async (t) => {
  const { control } = await controlCluster();
  const before = await control.getCluster();
  t.equal(before.ID, '7ocifb3gti7163al6bbnlmokj');
  t.notOk(JSON.stringify(before).includes('secret key'), 'the root key stays inside');
  const version = (before['Version'] as { Index: number }).Index;
  const rotate = { workerToken: true, managerToken: false, managerUnlockKey: false };
  await control.updateCluster(version, { Orchestration: { TaskHistoryRetentionLimit: 7 } }, rotate);
  const after = await control.getCluster();
  t.same(after['JoinTokens'], { Worker: 'SWMTKN-1-fresh-worker', Manager: 'SWMTKN-1-manager' });
  t.match(after['Spec'], {
    Name: 'default',
    Orchestration: { TaskHistoryRetentionLimit: 7 },
    CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 },
  });
  t.match(await refusal(control.updateCluster(version, {}, rotate)), 'update out of sequence');
  const index = (after['Version'] as { Index: number }).Index;
  const none = { workerToken: false, managerToken: false, managerUnlockKey: false };
  t.match(
    await refusal(control.updateCluster(index, { CAConfig: { NodeCertExpiry: 1 } }, none)),
    'minimum certificate expiry time is: 1h0m0s',
  );
});

t.test('control › events tell what changed, in the words of Docker, and end with the signal', async (t) => {
  const { control, store } = await controlCluster([buildNode('n1')]);
  const abort = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of control.events({ type: ['service', 'node'] }, abort.signal)) {
      const { Type, Action, Actor } = event as { Type: string; Action: string; Actor: { Attributes: object } };
      seen.push(`${Type} ${Action} ${JSON.stringify(Actor.Attributes)}`);
    }
  })();
  const { ID } = await control.createService(serviceBody('web'), {});
  await control.createSecret({ Name: 'not-asked-for', Data: base64(1) });
  const change = serviceBody('web', {
    Mode: { Replicated: { Replicas: 3 } },
    TaskTemplate: { ContainerSpec: { Image: 'nginx:2' } },
  });
  await control.updateService(ID, store.view.get('service', ID)!.Version.Index, change, {});
  await control.updateNode('n1', store.view.get('node', 'n1')!.Version.Index, { Availability: 'drain' });
  await control.removeService(ID);
  await store.update((tx) => tx.delete('service', ID));
  abort.abort();
  await reading;
  t.same(seen, [
    'service create {"name":"web"}',
    'service update {"name":"web","image.new":"nginx:2","image.old":"nginx:latest","replicas.new":"3","replicas.old":"1"}',
    'node update {"name":"n1","availability.new":"drain","availability.old":"active"}',
    'service remove {"name":"web"}',
  ]);
});
