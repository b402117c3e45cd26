import { certificateStage } from '@swarmd/model';
import t from 'tap';
import type { ApiNode } from '../src/client/api-types.js';
import { rotationProgress } from '../src/commands/swarm/ca.js';
import { swarmctlFor } from './support/swarmctl.js';
import { SELF, startWorld } from './support/world.js';

const DAY_MS = 86_400_000;
const desired = { TrustRoot: 'old', CertIssuerSubject: 's', CertIssuerPublicKey: 'new' };

function node(name: string, key: string, root: string, state = 'ready'): ApiNode {
  const TLSInfo = { TrustRoot: root, CertIssuerSubject: 's', CertIssuerPublicKey: key };
  return { ID: name, Description: { Hostname: name, TLSInfo }, Status: { State: state } } as unknown as ApiNode;
}

t.test('ca › progress counts certificates, then roots, and names who is away', (t) => {
  const rotating = { TLSInfo: desired, RootRotationInProgress: true };
  const texts = (...args: Parameters<typeof rotationProgress>) => rotationProgress(...args).lines.map((l) => l.text);
  const away = [node('a', 'new', 'old'), node('b', 'old', 'old', 'down')];
  t.same(texts(rotating, away).slice(1), ['1/2 nodes', '0/2 nodes', 'b (not reachable)']);
  const renewed = [node('a', 'new', 'old'), node('b', 'new', 'old')];
  t.same(texts(rotating, renewed).slice(1), ['2/2 nodes', '0/2 nodes'], 'no root counts before the end');
  const over = { TLSInfo: { ...desired, TrustRoot: 'next' }, RootRotationInProgress: false };
  const one = [node('a', 'new', 'next'), node('b', 'new', 'old')];
  t.same(texts(over, one).slice(1), ['2/2 nodes', '1/2 nodes']);
  t.notOk(rotationProgress(over, one).done);
  t.ok(rotationProgress(over, [node('a', 'new', 'next')]).done);
  t.end();
});

t.test('certificates › are fresh until a fifth of their life is left', (t) => {
  const life = { NotBefore: new Date(0).toISOString(), NotAfter: new Date(10 * DAY_MS).toISOString() };
  t.same(certificateStage(life, 0), { stage: 'fresh', dueMs: 8 * DAY_MS });
  t.same(certificateStage(life, 8 * DAY_MS), { stage: 'expiring', dueMs: 2 * DAY_MS });
  t.same(certificateStage(life, 10 * DAY_MS), { stage: 'expired', dueMs: undefined });
  t.end();
});

t.test('certificates › node ls has a column more, and info warns, only when one runs out', async (t) => {
  const world = await startWorld();
  t.teardown(() => world.stop());
  const swarmctl = swarmctlFor(world);
  const give = (fromMs: number, untilMs: number): Promise<void> =>
    world.store.update((tx) => {
      const times = { NotBefore: new Date(fromMs).toISOString(), NotAfter: new Date(untilMs).toISOString() };
      tx.put('node', { ...tx.get('node', SELF)!, Certificate: { Issuer: '', ...times } });
    });
  // The list goes by the client's clock, `info` by the manager's.
  const nows = [world.clock.now(), Date.now()];
  const [first, last] = [Math.min(...nows), Math.max(...nows)];
  await give(first - DAY_MS, last + (last - first) * 9 + 900 * DAY_MS);
  t.notMatch((await swarmctl(['node', 'ls'])).stdout, 'CERTIFICATE EXPIRY');
  t.notMatch((await swarmctl(['info'])).stderr, 'certificate');
  t.match((await swarmctl(['node', 'ls', '--format', '{{.CertificateExpiry}}'])).stdout, /^\d{4}-/m);
  await give(first - 90 * DAY_MS, first - DAY_MS);
  t.match((await swarmctl(['node', 'ls'])).stdout, /ENGINE VERSION +CERTIFICATE EXPIRY/);
  t.match((await swarmctl(['info'])).stderr, /^WARNING: the certificate of node \S+ has expired: /m);
  t.match((await swarmctl(['node', 'inspect', '--pretty', SELF])).stdout, /^Certificate Expiry:\t\d{4}-/m);
});

t.test('ca › flags that only rotate want --rotate', async (t) => {
  const world = await startWorld();
  t.teardown(() => world.stop());
  const swarmctl = swarmctlFor(world);
  for (const args of [['ca'], ['swarm', 'ca']]) {
    const refused = await swarmctl([...args, '--cert-expiry', '48h']);
    t.equal(refused.code, 1);
    t.match(refused.stderr, '`--cert-expiry` flag requires the `--rotate` flag to update the CA');
  }
});
