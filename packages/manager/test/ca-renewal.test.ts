import { X509Certificate } from 'node:crypto';
import { idFromBytes } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import { createIdentityHolder, type Identity, parseIdentity } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import {
  createKeyAndCsr,
  createRootCa,
  issueCertificate,
  renewalDelayMs,
  startRenewal,
  tlsInfo,
} from '../src/ca/index.js';
import { realRandom, silent } from './support/test-manager.js';

const DAY_MS = 86_400_000;

t.test('certificates › root and leaf are what Docker’s are', async (t) => {
  const now = Date.UTC(2026, 0, 1);
  const root = await createRootCa(now, realRandom);
  const parsed = new X509Certificate(root.certificatePem);
  t.equal(parsed.subject, 'CN=swarm-ca');
  t.ok(parsed.ca && parsed.verify(parsed.publicKey));
  t.equal(Date.parse(parsed.validTo) - now, 7_300 * DAY_MS, 'twenty years');
  t.equal(parsed.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');

  const { csrPem } = await createKeyAndCsr();
  const [nodeId, clusterId] = [idFromBytes(realRandom.bytes(17)), idFromBytes(realRandom.bytes(17))];
  const options = { root, csrPem, nodeId, clusterId, nowMs: now, validityMs: 90 * DAY_MS };
  const manager = new X509Certificate(await issueCertificate({ ...options, role: 'manager' }, realRandom));
  t.equal(manager.subject, `O=${clusterId}\nOU=swarm-manager\nCN=${nodeId}`);
  t.equal(manager.subjectAltName, `DNS:swarm-manager, DNS:${nodeId}, DNS:swarm-ca`);
  t.ok(!manager.ca && manager.checkIssued(parsed) && manager.verify(parsed.publicKey));
  t.equal(Date.parse(manager.validFrom), now - 3_600_000);
  t.equal(Date.parse(manager.validTo), now + 90 * DAY_MS);
  const short = new X509Certificate(await issueCertificate({ ...options, role: 'worker', validityMs: 1 }, realRandom));
  t.equal(Date.parse(short.validTo), now + 3_600_000, 'an hour at least');

  const info = tlsInfo(root.certificatePem, root.certificatePem);
  t.equal(Buffer.from(info.CertIssuerSubject, 'base64').subarray(-8).toString(), 'swarm-ca');
  t.equal(info.CertIssuerPublicKey, parsed.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'));
});

t.test('renewal › happens between half and four fifths of the certificate’s life', (t) => {
  const fraction = fc.double({ min: 0, max: 0.999, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e12 }),
      fc.integer({ min: 1, max: 1e11 }),
      fraction,
      (notBefore, life, draw) => {
        const at = notBefore + renewalDelayMs({ notBefore, notAfter: notBefore + life }, notBefore, draw);
        return at >= notBefore + 0.5 * life && at <= notBefore + 0.8 * life + 1;
      },
    ),
  );
  t.equal(renewalDelayMs({ notBefore: 0, notAfter: 100 }, 90, 0.5), 0, 'at once when that is past');
  t.end();
});

async function identityAt(now: number): Promise<Identity> {
  const root = await createRootCa(now, realRandom);
  const { keyPem, csrPem } = await createKeyAndCsr();
  const names = { nodeId: 'n1', role: 'worker', clusterId: 'c1' } as const;
  const issued = await issueCertificate({ root, csrPem, ...names, nowMs: now, validityMs: 10 * DAY_MS }, realRandom);
  return parseIdentity({ certificatePem: issued, keyPem, rootPem: root.certificatePem });
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('renewal › waits, renews, keeps the result before it uses it, and plans the next', async (t) => {
  const clock = manualClock();
  const first = await identityAt(clock.now());
  const second = await identityAt(clock.now() + 6 * DAY_MS);
  const holder = createIdentityHolder(first);
  const order: string[] = [];
  holder.onChange(() => order.push('used'));
  const renewal = startRenewal({
    ...{ identity: holder, clock, random: { ...realRandom, float: () => 0.5 }, logger: silent },
    renew: async () => second,
    save: async () => void order.push('saved'),
  });
  t.teardown(() => renewal.stop());
  clock.advance(6 * DAY_MS);
  await settle();
  t.same(order, [], 'not before 65 % of its life');
  clock.advance(0.6 * DAY_MS);
  await settle();
  t.same(order, ['saved', 'used']);
  t.equal(holder.current, second);
  clock.advance(5.5 * DAY_MS);
  await settle();
  t.same(order, ['saved', 'used']);
  clock.advance(0.6 * DAY_MS);
  await settle();
  t.equal(order.length, 4, 'and again');
});

t.test(
  'renewal › backs off from five seconds to an hour while it fails, to half a minute when it was asked for',
  async (t) => {
    const clock = manualClock();
    const identity = createIdentityHolder(await identityAt(clock.now()));
    let attempts = 0;
    const renewal = startRenewal({
      ...{ identity, clock, random: realRandom, logger: silent },
      renew: async () => {
        attempts += 1;
        throw new Error('nobody answers');
      },
      save: async () => void t.fail('nothing is to be saved'),
    });
    t.teardown(() => renewal.stop());
    clock.advance(9 * DAY_MS);
    await settle();
    t.equal(attempts, 1);
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      waits.push(clock.nextTimerMs()!);
      clock.advance(clock.nextTimerMs()!);
      await settle();
    }
    t.same(waits.slice(0, 3), [5_000, 10_000, 20_000]);
    t.equal(waits.at(-1), 3_600_000);
    t.equal(attempts, 13);
    renewal.renewNow();
    await settle();
    t.equal(attempts, 14, 'at once');
    const asked: number[] = [];
    for (let i = 0; i < 5; i++) {
      asked.push(clock.nextTimerMs()!);
      clock.advance(clock.nextTimerMs()!);
      await settle();
    }
    t.same(asked, [5_000, 10_000, 20_000, 30_000, 30_000], 'somebody waits for it');
  },
);
