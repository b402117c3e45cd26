import t from 'tap';
import { type CredentialHelper, credentialsFor, encodeAuth } from '../src/registry/credentials.js';

const noHelper: CredentialHelper = async () => undefined;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

t.test('credentials › of Docker Hub stand under its old address', async (t) => {
  const auths = { 'https://index.docker.io/v1/': { auth: base64('me:pa:ss') } };
  t.same(await credentialsFor('docker.io', { auths }, noHelper), {
    username: 'me',
    password: 'pa:ss',
    serveraddress: 'https://index.docker.io/v1/',
  });
});

t.test('credentials › of other registries stand under their host, with or without a scheme', async (t) => {
  for (const key of ['registry.example:5000', 'https://registry.example:5000/v2/']) {
    const auths = { [key]: { auth: base64('me:secret') } };
    const found = await credentialsFor('registry.example:5000', { auths }, noHelper);
    t.match(found, { username: 'me', password: 'secret' }, key);
  }
  t.same(
    await credentialsFor('other.example', { auths: { 'registry.example': { auth: base64('a:b') } } }, noHelper),
    {},
  );
});

t.test('credentials › come from a helper where one is configured', async (t) => {
  const asked: string[] = [];
  const helper: CredentialHelper = async (name, server) => {
    asked.push(`${name} ${server}`);
    return { Username: name === 'tokens' ? '<token>' : 'me', Secret: 's' };
  };
  const config = { credsStore: 'store', credHelpers: { 'r.example': 'tokens' } };
  t.match(await credentialsFor('other.example', config, helper), { username: 'me', password: 's' });
  t.same(await credentialsFor('r.example', config, helper), { identitytoken: 's', serveraddress: 'r.example' });
  t.same(asked, ['store other.example', 'tokens r.example']);
});

t.test('credentials › of a helper that has none fall back to the file', async (t) => {
  const config = { credsStore: 'store', auths: { 'r.example': { auth: base64('me:x') } } };
  t.match(await credentialsFor('r.example', config, noHelper), { username: 'me' });
});

t.test('credentials › travel as URL-safe base64', async (t) => {
  t.equal(encodeAuth({}), 'e30=');
  const encoded = encodeAuth({ password: '>>>???' });
  t.notMatch(encoded, /[+/]/);
  t.same(JSON.parse(Buffer.from(encoded, 'base64url').toString()), { password: '>>>???' });
});
