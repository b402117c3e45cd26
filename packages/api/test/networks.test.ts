import { FIRST_VNI } from '@swarmd/model';
import { buildTask, createService } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { type FakeEngine, startFakeEngine } from './support/fake-engine.js';
import { socketFolder, startTestApi, type TestApi } from './support/test-api.js';

async function withEngine(t: Test): Promise<{ engine: FakeEngine; world: TestApi; id: string }> {
  const engine = await startFakeEngine(t, socketFolder(t));
  const world = await startTestApi(t, engine.socket);
  const { ID } = await world.control.createNetwork({ Name: 'n', Driver: 'overlay' });
  return { engine, world, id: ID };
}

t.test('networks › the engine’s end of a cluster’s network is that network, with its containers', async (t) => {
  const { engine, world, id } = await withEngine(t);
  const end = {
    Id: 'end1',
    Name: 'n',
    Scope: 'local',
    Driver: 'swarmd',
    Options: { 'swarmd.network': id },
    Labels: {},
  };
  const other = { Id: 'end2', Name: 'gone', Scope: 'local', Driver: 'swarmd', Options: {}, Labels: {} };
  const bridge = { Id: 'b', Name: 'bridge', Scope: 'local', Driver: 'bridge' };
  const theirs = { Id: 's', Name: 'ingress', Scope: 'swarm', Driver: 'overlay' };
  engine.onRequest = (request, response) => {
    const url = decodeURIComponent(request.url ?? '');
    response.setHeader('content-type', 'application/json');
    const inspected = { ...end, Containers: { c1: { Name: 'web.1' } } };
    const listed = url.includes('"label"')
      ? []
      : url.includes('"driver"')
        ? [other, end]
        : [other, end, bridge, theirs];
    response.end(JSON.stringify(url.includes('/end1') ? inspected : listed));
  };
  const list = (await world.request('GET', '/v1.41/networks')).body as { Id: string }[];
  t.same(
    list.map(({ Id }) => Id),
    [id, 'b'],
    'nor what a Docker Swarm has that the engine is in',
  );
  const one = await world.request('GET', '/v1.41/networks/n');
  t.match(one.body, { Id: id, Scope: 'swarm', Driver: 'overlay', Containers: { c1: { Name: 'web.1' } } });
  t.notOk('Services' in (one.body as object));
  t.match((await world.request('GET', '/v1.41/networks/n?verbose=true')).body, { Id: id, Services: {} });
});

t.test('networks › info warns of one whose addresses run out', async (t) => {
  const { world, id } = await withEngine(t);
  const warnings = async (): Promise<string[]> =>
    ((await world.request('GET', '/v1.41/info')).body as { Warnings?: string[] }).Warnings ?? [];
  await world.store.update((tx) => {
    const Subnets = [{ Subnet: '10.9.0.0/29', Gateway: '10.9.0.1' }];
    tx.put('network', { ...tx.get('network', id)!, Allocation: { VNI: FIRST_VNI, Subnets, MTU: 1450 } });
  });
  t.same(await warnings(), []);
  await world.store.update((tx) => {
    const service = createService(tx, 'web', { Name: 'web' });
    for (let host = 2; host <= 6; host++) {
      const NetworksAttachments = [{ Network: { ID: id }, Addresses: [`10.9.0.${host}/29`] }];
      tx.create('task', buildTask(service, `t${host}`, { NetworksAttachments }));
    }
  });
  t.same(await warnings(), ['network n has no address left (10.9.0.0/29): new tasks wait']);
});
