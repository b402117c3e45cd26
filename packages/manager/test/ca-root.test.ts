import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { type Identity, loadIdentity, parseIdentity, saveIdentity, withTrust } from '@swarmd/wire';
import t from 'tap';
import {
  type CertificateAndKey,
  createKeyAndCsr,
  createRootCa,
  crossSign,
  isSameCertificate,
  issueCertificate,
  parseRootCa,
} from '../src/ca/index.js';
import { realRandom } from './support/test-manager.js';

const DAY_MS = 86_400_000;
// After the roots that openssl makes at this moment.
const now = Date.now() + 60_000;

/** A root as a user makes one with openssl; `args` choose its key and extensions. */
function opensslRoot(directory: string, args: readonly string[], days = 3_650): CertificateAndKey {
  const [key, certificate] = [join(directory, 'ca.key'), join(directory, 'ca.pem')];
  const config = join(directory, 'openssl.cnf');
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n');
  const base = ['req', '-x509', '-nodes', '-config', config, '-days', String(days), '-subj', '/O=Example/CN=Root'];
  const ca = args.some((arg) => arg.startsWith('basicConstraints'))
    ? []
    : ['-addext', 'basicConstraints=critical,CA:TRUE'];
  execFileSync('openssl', [...base, ...ca, '-keyout', key, '-out', certificate, ...args], { stdio: 'pipe' });
  return { certificatePem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') };
}

async function issueFrom(root: CertificateAndKey, chain: string, rootPem: string): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const names = { nodeId: 'n1', role: 'manager', clusterId: 'c1' } as const;
  const issued = await issueCertificate({ root, csrPem, ...names, nowMs: now, validityMs: 10 * DAY_MS }, realRandom);
  return parseIdentity({ keyPem, certificatePem: issued + chain, rootPem });
}

/** Whether both ends accept each other over TLS as managers and agents do. */
function acceptEachOther(server: Identity, client: Identity): Promise<boolean> {
  const options = ({ certificatePem, keyPem, rootPem }: Identity) => ({
    cert: certificatePem,
    key: keyPem,
    ca: rootPem,
  });
  const mutual = { requestCert: true, rejectUnauthorized: true };
  return new Promise((resolve) => {
    const listening = createServer({ ...options(server), ...mutual }, (socket) => socket.end('welcome'));
    const end = (accepted: boolean): void => {
      listening.close();
      resolve(accepted);
    };
    listening.listen(0, '127.0.0.1', () => {
      const { port } = listening.address() as AddressInfo;
      const calling = connect({ port, host: '127.0.0.1', servername: 'swarm-manager', ...options(client) });
      calling.on('data', () => end(true));
      calling.on('error', () => end(false));
    });
  });
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const kinds: Readonly<Record<string, readonly string[]>> = {
  'ECDSA P-256': [...EC, '-addext', 'subjectKeyIdentifier=hash'],
  'ECDSA P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  'ECDSA P-521': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'],
  RSA: ['-newkey', 'rsa:2048'],
  'a subject key identifier of its own kind': [...EC, '-addext', 'subjectKeyIdentifier=01:02:03:04'],
  'no subject key identifier': EC,
};

t.test('root › old and new certificates accept each other through a whole rotation', async (t) => {
  const swarmRoot = await createRootCa(now, realRandom);
  const news: [string, CertificateAndKey][] = [['our own', await createRootCa(now, realRandom)]];
  for (const [kind, args] of Object.entries(kinds))
    news.push([kind, parseRootCa(opensslRoot(t.testdir({}), args), now)]);
  for (const [kind, next] of news) {
    for (const [from, to] of [
      [swarmRoot, next],
      [next, swarmRoot],
    ] as const) {
      const chain = await crossSign(from, to.certificatePem, realRandom);
      const before = await issueFrom(from, '', from.certificatePem);
      const during = await issueFrom(to, chain, from.certificatePem + to.certificatePem);
      const after = { ...(await issueFrom(to, '', to.certificatePem)) };
      const say = `${kind}, ${from === swarmRoot ? 'to it' : 'from it'}`;
      t.ok(await acceptEachOther(before, during), `${say}: a renewed client, a server that knows nothing of it yet`);
      t.ok(await acceptEachOther(during, before), `${say}: the other way round`);
      t.ok(await acceptEachOther(during, during), `${say}: both renewed`);
      t.ok(await acceptEachOther(after, during), `${say}: one of them through with it`);
      t.ok(await acceptEachOther(during, after), `${say}: the other of them`);
      t.notOk(await acceptEachOther(after, before), `${say}: an old certificate opens nothing afterwards`);
      t.notOk(await acceptEachOther(before, after), `${say}: and is not trusted by anybody`);
    }
  }
});

t.test('root › one that cannot serve is refused, with the field and what is wrong', async (t) => {
  const directory = t.testdir({});
  const good = opensslRoot(directory, EC);
  const other = opensslRoot(directory, EC);
  const refused = (given: CertificateAndKey, field: string, message: RegExp): void => {
    t.throws(() => parseRootCa(given, now), { code: 'invalid-argument', field: `CAConfig.${field}`, message });
  };
  t.ok(isSameCertificate(parseRootCa(good, now).certificatePem, good.certificatePem));
  refused({ ...good, certificatePem: 'nonsense' }, 'SigningCACert', /cannot be read/);
  refused({ ...good, certificatePem: good.certificatePem + other.certificatePem }, 'SigningCACert', /one certificate/);
  refused({ ...good, keyPem: other.keyPem }, 'SigningCAKey', /not the key of the certificate/);
  refused({ ...good, keyPem: 'nonsense' }, 'SigningCAKey', /cannot be read/);
  refused(opensslRoot(directory, EC, 300), 'SigningCACert', /expires too soon/);
  t.throws(() => parseRootCa(good, now + 4_000 * DAY_MS), { field: 'CAConfig.SigningCACert', message: /has expired/ });
  const leaf = [...EC, '-addext', 'basicConstraints=critical,CA:FALSE'];
  refused(opensslRoot(directory, leaf), 'SigningCACert', /CA:TRUE/);
  const short = [...EC, '-addext', 'basicConstraints=critical,CA:TRUE,pathlen:0'];
  refused(opensslRoot(directory, short), 'SigningCACert', /path length/);
  const weak = ['-newkey', 'rsa:1024'];
  refused(opensslRoot(directory, weak), 'SigningCACert', /2048 bits/);
  const usage = [...EC, '-addext', 'keyUsage=digitalSignature'];
  refused(opensslRoot(directory, usage), 'SigningCACert', /key usage/);
  const old = await createRootCa(now, realRandom);
  const intermediate = await crossSign(old, good.certificatePem, realRandom);
  refused({ ...good, certificatePem: intermediate }, 'SigningCACert', /not self-signed/);
});

t.test('root › what a node trusts follows its managers, but never lacks its own issuer', async (t) => {
  const [old, next, third] = [1, 2, 3].map(() => createRootCa(now, realRandom));
  const [first, second, other] = [await old!, await next!, await third!];
  const chain = await crossSign(first, second.certificatePem, realRandom);
  const both = first.certificatePem + second.certificatePem;
  const renewed = await issueFrom(second, chain, both);
  t.equal(withTrust(renewed, both), renewed, 'the same when nothing changes');
  t.equal(withTrust(renewed, second.certificatePem).rootPem, second.certificatePem, 'the old root goes');
  t.equal(withTrust(renewed, first.certificatePem).rootPem, both, 'an older message takes nothing away');
  const replaced = withTrust(renewed, first.certificatePem + other.certificatePem);
  t.equal(replaced.rootPem, first.certificatePem + other.certificatePem + second.certificatePem);

  const directory = join(t.testdir({}), 'certificates');
  await saveIdentity(directory, renewed);
  const loaded = await loadIdentity(directory);
  t.same(loaded, renewed, 'chain and roots are told apart on disk');
  t.equal(new X509Certificate(loaded!.certificatePem).subject, new X509Certificate(renewed.certificatePem).subject);
});
