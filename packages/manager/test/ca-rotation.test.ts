import { CLUSTER_KEY, type Cluster, type Node } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import {
  CertificateAuthorityClient,
  callUnary,
  clientArguments,
  createChannel,
  createIdentityHolder,
} from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import {
  createKeyAndCsr,
  createRootCa,
  issuerName,
  planCertificates,
  renewCertificate,
  requestCertificate,
  startCertificateLoop,
} from '../src/ca/index.js';
import { createControl } from '../src/control/index.js';
import { startTestAgent } from './support/test-agent.js';
import {
  realClock,
  realRandom,
  silent,
  startTestManager,
  type TestManager,
  untilStore,
} from './support/test-manager.js';

const roots = { old: 'old root\n', next: 'next root\n', other: 'other root\n' } as const;
const times = { NotBefore: '2026-01-01T00:00:00Z', NotAfter: '2026-04-01T00:00:00Z' };

function clusterWith(next?: string): Cluster {
  const rotation = { Certificate: next ?? '', Key: '', CrossSigned: '', StartedAt: times.NotBefore };
  const RootCA = { Certificate: roots.old, Key: '' };
  return { RootCA, ...(next === undefined ? {} : { RootRotation: rotation }) } as unknown as Cluster;
}

interface Shape {
  issuer: keyof typeof roots | 'unknown' | undefined;
  asked: keyof typeof roots | undefined;
  state: Node['Status']['State'];
}

function nodeWith(id: string, { issuer, asked, state }: Shape): Node {
  const Issuer = issuer === undefined || issuer === 'unknown' ? '' : issuerName(roots[issuer]);
  return {
    ...buildNode(id),
    Status: { State: state, Addr: '' },
    ...(issuer === undefined ? {} : { Certificate: { Issuer, ...times } }),
    ...(asked === undefined ? {} : { RenewFrom: issuerName(roots[asked]) }),
  } as Node;
}

t.test('rotation › who is asked, waited for, and done with', (t) => {
  const table: [string, string | undefined, Shape, 'ask' | 'wait' | 'settled' | 'nothing'][] = [
    ['nothing is wrong', undefined, { issuer: 'old', asked: undefined, state: 'ready' }, 'nothing'],
    ['nothing is known', undefined, { issuer: undefined, asked: undefined, state: 'ready' }, 'nothing'],
    ['an old certificate', roots.next, { issuer: 'old', asked: undefined, state: 'ready' }, 'ask'],
    ['an unknown one', roots.next, { issuer: undefined, asked: undefined, state: 'ready' }, 'ask'],
    ['one of a root that was given up', roots.next, { issuer: 'unknown', asked: 'other', state: 'ready' }, 'ask'],
    ['asked already', roots.next, { issuer: 'old', asked: 'next', state: 'ready' }, 'wait'],
    ['not reachable', roots.next, { issuer: 'old', asked: undefined, state: 'down' }, 'wait'],
    ['not reachable yet', roots.next, { issuer: 'old', asked: undefined, state: 'unknown' }, 'wait'],
    ['renewed', roots.next, { issuer: 'next', asked: 'next', state: 'ready' }, 'settled'],
    ['renewed, and cleared', roots.next, { issuer: 'next', asked: undefined, state: 'down' }, 'nothing'],
    ['renewed, and the rotation was aborted', undefined, { issuer: 'next', asked: 'next', state: 'ready' }, 'ask'],
    ['aborted before it had renewed', undefined, { issuer: 'old', asked: 'next', state: 'ready' }, 'settled'],
  ];
  for (const [name, next, shape, expected] of table) {
    const plan = planCertificates(clusterWith(next), [nodeWith('n', shape)]);
    t.same(plan.ask, expected === 'ask' ? ['n'] : [], `${name}: asked`);
    t.same(plan.waitingFor, expected === 'ask' || expected === 'wait' ? ['n'] : [], `${name}: waited for`);
    t.same(plan.settled, expected === 'settled' ? ['n'] : [], `${name}: settled`);
  }
  t.notOk(planCertificates(clusterWith(roots.next), []).finished, 'a cluster without nodes has nothing to finish');
  t.end();
});

t.test('rotation › ends exactly when every node uses the new root, whoever is reachable', (t) => {
  const shape = fc.record<Shape>({
    issuer: fc.constantFrom('old', 'next', 'next', 'next', 'other', 'unknown', undefined),
    asked: fc.constantFrom('old', 'next', 'other', undefined),
    state: fc.constantFrom('ready', 'down', 'unknown', 'disconnected'),
  });
  fc.assert(
    fc.property(fc.array(shape, { minLength: 1, maxLength: 6 }), fc.boolean(), (shapes, rotating) => {
      const nodes = shapes.map((one, i) => nodeWith(`n${i}`, one));
      const plan = planCertificates(clusterWith(rotating ? roots.next : undefined), nodes);
      const all = shapes.every(({ issuer }) => issuer === 'next');
      const asked = plan.ask.every((id) => plan.waitingFor.includes(id));
      const apart = plan.settled.every((id) => !plan.waitingFor.includes(id));
      // Doing what the plan says leaves nobody to ask: passes come to rest.
      const after = nodes.map((node) => (plan.ask.includes(node.ID) ? { ...node, RenewFrom: plan.issuer } : node));
      const again = planCertificates(clusterWith(rotating ? roots.next : undefined), after);
      return plan.finished === (rotating && all) && asked && apart && again.ask.length === 0;
    }),
  );
  t.end();
});

function controlOf({ store }: TestManager) {
  return createControl({
    ...{ store, clock: realClock, random: realRandom, logger: silent },
    logSource: { async *subscribe() {} },
    explain: (_view, ServiceID) => ({ ServiceID, ServiceName: '', Tasks: [] }),
    tokens: { rotateJoinToken: (kind) => kind },
  });
}

t.test(
  'rotation › on a manager: nodes renew, a joining one gets the new root, then old certificates open nothing',
  async (t) => {
    const test = await startTestManager();
    t.teardown(() => test.stop());
    const control = controlOf(test);
    const loop = startCertificateLoop({ store: test.store, clock: realClock, random: realRandom, logger: silent });
    t.teardown(() => loop.stop());
    const signal = AbortSignal.timeout(30_000);
    const { addr } = test;
    const before = test.cluster();
    const none = { workerToken: false, managerToken: false, managerUnlockKey: false };
    const worker = await test.join();
    const old = test.identity.current;

    await control.updateCluster(before.Version.Index, { CAConfig: { ForceRotate: 1 } }, none);
    const during = test.cluster();
    t.ok(during.RootRotation);
    t.match(await control.getCluster(), {
      RootRotationInProgress: true,
      TLSInfo: { TrustRoot: before.RootCA.Certificate },
    });
    t.notMatch(JSON.stringify(await control.getCluster()), 'PRIVATE KEY');

    const first = startTestAgent(addr, worker);
    await first.next('cluster', ({ renewCertificate }) => renewCertificate);
    const renewed = await renewCertificate({ identity: worker, remoteAddrs: [addr], signal });
    t.equal(renewed.rootPem, before.RootCA.Certificate + during.RootRotation!.Certificate);
    const manager = await renewCertificate({ identity: old, remoteAddrs: [addr], signal });
    test.identity.replace(manager);
    const token = before.JoinTokens.Worker;
    const joined = await requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '127.0.0.1', signal });
    t.equal(joined.rootPem, renewed.rootPem, 'the present token, the old root served, both trusted');
    t.equal(test.node(joined.nodeId)?.Certificate?.Issuer, issuerName(during.RootRotation!.Certificate));

    first.close();
    const agents = [startTestAgent(addr, renewed), startTestAgent(addr, manager)];
    t.teardown(() => agents.forEach((agent) => void agent.close()));
    await untilStore(test.store, () => test.cluster().RootRotation === undefined);
    const after = test.cluster();
    t.equal(after.RootCA.Certificate, during.RootRotation!.Certificate);
    t.not(after.JoinTokens.Worker, token);
    t.match(after.JoinTokens.Worker, issuerName(after.RootCA.Certificate));
    t.equal(test.node(worker.nodeId)?.RenewFrom, undefined);

    // The manager trusts the new root alone from now on, as its agent would have it do.
    const trusting = { ...manager, rootPem: after.RootCA.Certificate };
    test.identity.replace(trusting);
    const mixed = { ...worker, rootPem: after.RootCA.Certificate };
    const channel = createChannel(addr, createIdentityHolder(mixed));
    t.teardown(() => channel.close());
    const client = new CertificateAuthorityClient(...clientArguments(channel));
    const { csrPem } = await createKeyAndCsr();
    const empty = {
      token: '',
      availability: '',
      advertiseAddr: '',
      noManagerReason: '',
      externalStore: false,
      description: Buffer.alloc(0),
    };
    const request = { ...empty, csrPem: Buffer.from(csrPem) };
    await t.rejects(callUnary(client.issueCertificate.bind(client), request, { timeoutMs: 10_000 }), {
      message: /valid join token is necessary/,
    });
    const stale = startTestAgent(addr, mixed);
    t.match(await stale.ended, { code: 'unauthenticated' });
    const fresh = startTestAgent(addr, { ...renewed, rootPem: after.RootCA.Certificate });
    await fresh.next('welcome');
    fresh.close();
  },
);

t.test('rotation › connections opened by the grace of the old root end with it', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const next = await createRootCa(Date.now(), realRandom);
  const worker = await test.join();
  test.identity.replace({ ...test.identity.current, rootPem: test.identity.current.rootPem + next.certificatePem });
  const agent = startTestAgent(test.addr, worker);
  await agent.next('welcome');
  test.identity.replace({ ...test.identity.current, rootPem: next.certificatePem });
  t.match(await agent.ended, { name: 'SwarmdError' });
  t.ok(test.store.view.get('cluster', CLUSTER_KEY));
});

t.test('rotation › control refuses what it cannot rotate to, naming the field, and changes nothing', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const control = controlOf(test);
  const none = { workerToken: false, managerToken: false, managerUnlockKey: false };
  const rotate = (CAConfig: Record<string, unknown>) =>
    control.updateCluster(test.cluster().Version.Index, { CAConfig }, none);
  const { certificatePem, keyPem } = await createRootCa(Date.now(), realRandom);
  const field = (name: string) => ({ code: 'invalid-argument', field: `CAConfig.${name}` });
  await t.rejects(rotate({ SigningCACert: certificatePem }), field('SigningCAKey'));
  await t.rejects(rotate({ SigningCAKey: keyPem }), field('SigningCACert'));
  await t.rejects(rotate({ SigningCACert: 'x', SigningCAKey: keyPem }), field('SigningCACert'));
  await t.rejects(rotate({ ExternalCAs: [{ URL: 'https://ca' }] }), { code: 'unimplemented' });
  const { RootCA, RootRotation } = test.cluster();
  t.equal(RootRotation, undefined);
  await rotate({ SigningCACert: RootCA.Certificate, SigningCAKey: RootCA.Key });
  t.equal(test.cluster().RootRotation, undefined, 'to the present root: nothing to do');
  await rotate({ SigningCACert: certificatePem, SigningCAKey: keyPem });
  const begun = test.cluster().RootRotation;
  t.equal(begun?.Certificate, certificatePem);
  await rotate({ SigningCACert: certificatePem, SigningCAKey: keyPem });
  t.same(test.cluster().RootRotation, begun, 'the same once more: it goes on');
  t.notMatch(JSON.stringify(test.cluster().Spec), 'PRIVATE KEY', 'no key in the spec');
  await rotate({ SigningCACert: RootCA.Certificate, SigningCAKey: RootCA.Key });
  t.equal(test.cluster().RootRotation, undefined, 'back to the present root: aborted');
});
