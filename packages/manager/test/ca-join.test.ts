import { X509Certificate } from 'node:crypto';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { rfc3339, SwarmdError } from '@swarmd/model';
import {
  CertificateAuthorityClient,
  callUnary,
  clientArguments,
  createAnonymousChannel,
  createChannel,
  createIdentityHolder,
  parseIdentity,
} from '@swarmd/wire';
import t from 'tap';
import {
  createJoinToken,
  createKeyAndCsr,
  createRootCa,
  renewCertificate,
  requestCertificate,
} from '../src/ca/index.js';
import { csrFor } from './support/csr.js';
import { realRandom, startTestManager, type TestManager } from './support/test-manager.js';

const signal = AbortSignal.timeout(60_000);
const joinWith = ({ addr }: TestManager, token: string) =>
  requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '127.0.0.1', signal });

t.test('ca › joining', async (t) => {
  const refuseManager = async () => new SwarmdError('failed-precondition', 'there is no etcd');
  const test = await startTestManager({ refuseManager });
  t.teardown(() => test.stop());

  t.test('the right token gives a worker certificate and a node in the store', async (t) => {
    const identity = await joinWith(test, test.cluster().JoinTokens.Worker);
    const now = Date.now();
    t.equal(identity.role, 'worker');
    t.equal(identity.clusterId, test.cluster().ClusterID);
    t.ok(Math.abs(identity.notAfter - now - 90 * 86_400_000) < 60_000, 'valid for 90 days');
    t.ok(now - identity.notBefore >= 3_600_000 - 1000, 'backdated an hour');
    const node = test.node(identity.nodeId);
    t.match(node, { Spec: { Role: 'worker', Availability: 'active' }, CertificateRole: 'worker' });
  });

  t.test('a wrong secret is refused and leaves no node', async (t) => {
    const before = test.store.view.count('node');
    const token = createJoinToken(test.cluster().RootCA.Certificate, realRandom);
    await t.rejects(joinWith(test, token), { code: 'invalid-argument', message: /valid join token is necessary/ });
    t.equal(test.store.view.count('node'), before);
  });

  t.test('the manager token is refused while the cluster cannot take another manager', async (t) => {
    await t.rejects(joinWith(test, test.cluster().JoinTokens.Manager), { code: 'failed-precondition' });
  });

  t.test('a root that the token does not promise is refused before anything is sent', async (t) => {
    const other = await createRootCa(Date.now(), realRandom);
    const before = test.store.index;
    const promise = joinWith(test, createJoinToken(other.certificatePem, realRandom));
    await t.rejects(promise, { code: 'permission-denied', message: /does not match fingerprint/ });
    t.equal(test.store.index, before);
  });

  t.test('what the CSR claims is not what the certificate says', async (t) => {
    const { nodeId: managerId } = test.identity.current;
    const { keyPem, csrPem } = await csrFor({ CN: managerId, OU: 'swarm-manager', O: 'another' }, ['swarm-manager']);
    const rootPem = test.cluster().RootCA.Certificate;
    const channel = createAnonymousChannel(test.addr, { verify: true, rootPem });
    t.teardown(() => channel.close());
    const client = new CertificateAuthorityClient(...clientArguments(channel));
    const token = test.cluster().JoinTokens.Worker;
    const request = {
      csrPem: Buffer.from(csrPem),
      token,
      availability: 'drain',
      noManagerReason: '',
      externalStore: false,
      advertiseAddr: '',
      description: Buffer.alloc(0),
    };
    const issued = await callUnary(client.issueCertificate.bind(client), request, { timeoutMs: 5_000 });
    const identity = parseIdentity({ keyPem, certificatePem: issued.certificatePem.toString(), rootPem });
    t.not(identity.nodeId, managerId);
    t.match(identity, { role: 'worker', clusterId: test.cluster().ClusterID });
    t.equal(new X509Certificate(issued.certificatePem).subjectAltName, `DNS:swarm-worker, DNS:${identity.nodeId}`);
    t.equal(test.node(identity.nodeId)?.Spec.Availability, 'drain');
  });

  t.test('a CSR that is not signed by its key is refused', async (t) => {
    const { csrPem } = await createKeyAndCsr();
    const der = Buffer.from(csrPem.replace(/-----.*-----/g, ''), 'base64');
    der[der.length - 1]! ^= 1;
    const broken = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    const channel = createAnonymousChannel(test.addr, { verify: true, rootPem: test.cluster().RootCA.Certificate });
    t.teardown(() => channel.close());
    const client = new CertificateAuthorityClient(...clientArguments(channel));
    const before = test.store.view.count('node');
    const token = test.cluster().JoinTokens.Worker;
    const request = {
      csrPem: Buffer.from(broken),
      token,
      availability: '',
      noManagerReason: '',
      externalStore: false,
      advertiseAddr: '',
      description: Buffer.alloc(0),
    };
    const call = callUnary(client.issueCertificate.bind(client), request, { timeoutMs: 5_000 });
    await t.rejects(call, { code: 'invalid-argument' });
    t.equal(test.store.view.count('node'), before);
  });

  t.test('an address where nobody listens is named in the error', async (t) => {
    const { addr, close } = await closedPort();
    await close();
    const token = test.cluster().JoinTokens.Worker;
    const promise = requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '', signal });
    await t.rejects(promise, { code: 'unavailable', message: new RegExp(addr) });
  });

  t.test('the next address is tried when the first does not answer', async (t) => {
    const { addr, close } = await closedPort();
    await close();
    const token = test.cluster().JoinTokens.Worker;
    const identity = await requestCertificate({ remoteAddrs: [addr, test.addr], token, advertiseAddr: '', signal });
    t.equal(identity.role, 'worker');
  });
});

t.test('ca › renewing', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());

  t.test('gives a new key and certificate for the same node, without a token', async (t) => {
    const identity = await test.join();
    const renewed = await renewCertificate({ identity, remoteAddrs: [test.addr], signal });
    t.equal(renewed.nodeId, identity.nodeId);
    t.not(renewed.keyPem, identity.keyPem);
    t.not(renewed.certificatePem, identity.certificatePem);
  });

  t.test('gives the role that the node has now', async (t) => {
    const identity = await test.join();
    await test.store.update((tx) => {
      const node = tx.get('node', identity.nodeId)!;
      tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'manager' } });
    });
    const renewed = await renewCertificate({ identity, remoteAddrs: [test.addr], signal });
    t.equal(renewed.role, 'manager');
    t.equal(test.node(identity.nodeId)?.CertificateRole, 'manager');
  });

  t.test('is refused without token and certificate, and with a certificate of another root', async (t) => {
    const { csrPem } = await createKeyAndCsr();
    const request = {
      csrPem: Buffer.from(csrPem),
      token: '',
      availability: '',
      noManagerReason: '',
      externalStore: false,
      advertiseAddr: '',
      description: Buffer.alloc(0),
    };
    const channel = createAnonymousChannel(test.addr, { verify: true, rootPem: test.cluster().RootCA.Certificate });
    t.teardown(() => channel.close());
    const client = new CertificateAuthorityClient(...clientArguments(channel));
    const call = callUnary(client.issueCertificate.bind(client), request, { timeoutMs: 5_000 });
    await t.rejects(call, { code: 'invalid-argument' });

    const other = await startTestManager();
    t.teardown(() => other.stop());
    const stranger = { ...(await other.join()), rootPem: test.cluster().RootCA.Certificate };
    const renewing = renewCertificate({ identity: stranger, remoteAddrs: [test.addr], signal });
    await t.rejects(renewing, { code: 'invalid-argument' });
  });

  t.test('is refused for a removed node, which can call nothing any more', async (t) => {
    const identity = await test.join();
    await test.store.update((tx) => {
      const cluster = tx.get('cluster', 'cluster')!;
      const RemovedNodes = { ...cluster.RemovedNodes, [identity.nodeId]: { Expiry: rfc3339(identity.notAfter) } };
      tx.put('cluster', { ...cluster, RemovedNodes });
      tx.delete('node', identity.nodeId);
    });
    await t.rejects(renewCertificate({ identity, remoteAddrs: [test.addr], signal }), { code: 'permission-denied' });
  });
});

t.test('ca › nobody is believed to be a manager by a worker’s certificate', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const worker = await test.join();
  // A worker that serves with its own certificate where a manager is expected.
  const { createServer, CertificateAuthorityService } = await import('@swarmd/wire');
  const impostor = createServer({ identity: createIdentityHolder(worker), now: Date.now });
  impostor.addService(CertificateAuthorityService, {
    getRootCertificate: (_call: unknown, callback: (e: null, r: unknown) => void) =>
      callback(null, { certificatePem: Buffer.from(worker.rootPem) }),
    issueCertificate: () => t.fail('the token was sent to an impostor'),
  });
  const port = await impostor.listen('127.0.0.1:0');
  t.teardown(() => impostor.stop(0));
  const addr = `127.0.0.1:${port}`;
  const token = test.cluster().JoinTokens.Worker;
  const joining = requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '', signal });
  await t.rejects(joining, { code: 'unavailable' });
  const channel = createChannel(addr, test.identity);
  t.teardown(() => channel.close());
  const client = new CertificateAuthorityClient(...clientArguments(channel));
  const call = callUnary(client.getRootCertificate.bind(client), {}, { timeoutMs: 3_000 });
  await t.rejects(call, { code: 'unavailable' });
});

async function closedPort(): Promise<{ addr: string; close: () => Promise<void> }> {
  const server = createTcpServer((socket: Socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  return {
    addr: `127.0.0.1:${address.port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
