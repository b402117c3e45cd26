import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { loadIdentity, parseIdentity, parseSubject, removeIdentity, saveIdentity } from '../src/index.js';
import { createTestRoot } from './certificates.js';

t.test('identity › what a subject says', (t) => {
  const good = { CN: 'node', OU: 'swarm-worker', O: 'cluster' };
  t.same(parseSubject(good), { nodeId: 'node', role: 'worker', clusterId: 'cluster' });
  t.same(parseSubject({ ...good, OU: 'swarm-manager' })?.role, 'manager');
  const bad = [
    undefined,
    {},
    { ...good, OU: 'swarm-ca' },
    { ...good, CN: '' },
    { ...good, OU: ['swarm-manager', 'x'] },
  ];
  for (const subject of bad) t.equal(parseSubject(subject), undefined, JSON.stringify(subject));
  t.end();
});

t.test('identity › is refused when its parts do not belong together', async (t) => {
  const [root, other] = [await createTestRoot(), await createTestRoot()];
  const mine = await root.identity({ nodeId: 'n1', role: 'worker' });
  const theirs = await other.identity({ nodeId: 'n1', role: 'worker' });
  t.match(mine, { nodeId: 'n1', role: 'worker', clusterId: 'cluster' });
  t.throws(() => parseIdentity({ ...mine, keyPem: theirs.keyPem }), {
    code: 'invalid-argument',
    message: /private key/,
  });
  t.throws(() => parseIdentity({ ...mine, rootPem: other.rootPem }), { code: 'invalid-argument', message: /root/ });
  t.throws(() => parseIdentity({ ...mine, certificatePem: 'nonsense' }), { code: 'invalid-argument' });
  t.equal(parseIdentity({ ...mine, rootPem: other.rootPem + root.rootPem }).nodeId, 'n1', 'any of several roots');
});

t.test('identity › on disk', async (t) => {
  const directory = join(t.testdir({}), 'certificates');
  const root = await createTestRoot();
  const first = await root.identity({ nodeId: 'n1', role: 'worker' });
  const second = await root.identity({ nodeId: 'n1', role: 'manager' });

  t.equal(await loadIdentity(directory), undefined, 'there is none yet');
  await saveIdentity(directory, first);
  t.same(await loadIdentity(directory), first);
  await saveIdentity(directory, second);
  t.same(await loadIdentity(directory), second, 'replaced as a whole');
  const [file, ...others] = await readdir(directory);
  t.same(others, [], 'nothing is left beside it');
  const path = join(directory, file!);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.equal((await stat(directory)).mode & 0o777, 0o700);

  const text = await readFile(path, 'utf8');
  await writeFile(path, text.slice(0, text.length / 2));
  await t.rejects(loadIdentity(directory), { code: 'damaged', message: /join the cluster again/ });
  await chmod(path, 0o600);
  await removeIdentity(directory);
  t.equal(await loadIdentity(directory), undefined);
});
