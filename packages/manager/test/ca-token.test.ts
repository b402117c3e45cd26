import fc from 'fast-check';
import t from 'tap';
import { createJoinToken, createJoinTokens, digestOfToken, roleOfToken, rootDigest } from '../src/ca/index.js';
import { realRandom } from './support/test-manager.js';

/** Root certificate and token of a cluster that Docker 28.2 made. */
const DOCKER_ROOT = `-----BEGIN CERTIFICATE-----
MIIBaTCCARCgAwIBAgIUWpZdS0sA7ogBBU5gJSkjsviR7dAwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAxMIc3dhcm0tY2EwHhcNMjYxMTIyMjMzMDAwWhcNNDYxMTE3MjMz
MDAwWjATMREwDwYDVQQDEwhzd2FybS1jYTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABChhxgMupV0FcC1w31oeAnMoANIxbVGWdbHP6/DJejLWO4LmE27JUmr1ddgn
di6gj63fAJUTyWJjCiCab+Q24d+jQjBAMA4GA1UdDwEB/wQEAwIBBjAPBgNVHRMB
Af8EBTADAQH/MB0GA1UdDgQWBBQN+YOLp1asc8qTKQuH59sak1PkaDAKBggqhkjO
PQQDAgNHADBEAiBFN7Xx2zduLho6XL9X3Qnbhg7wdygiTrQn4nC37XDKWgIgRlLb
fJ0hHPuLEiHon2nyTolsM1hRaQj51XKB+MLPmkE=
-----END CERTIFICATE-----
`;
const DOCKER_TOKEN = 'SWMTKN-1-177ma7q27rh2oor3wlyjs1pmijqcshl0ofgffoer6d4b1a5jtn-8t3prp783k366okoznk6e4nm0';

t.test('join token › promises the root that Docker’s token of the same cluster promises', (t) => {
  t.equal(digestOfToken(DOCKER_TOKEN), rootDigest(DOCKER_ROOT));
  t.end();
});

t.test('join token › has Docker’s form, whatever the random bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 17, maxLength: 17 }), fc.string(), (bytes, root) => {
      const token = createJoinToken(root, { bytes: () => bytes, float: () => 0 });
      return /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/.test(token) && digestOfToken(token) === rootDigest(root);
    }),
  );
  t.pass('in every run');
  t.end();
});

t.test('join token › what has not its form is refused', (t) => {
  const [name, version, digest, secret] = DOCKER_TOKEN.split('-');
  const wrong = [
    '',
    'SWMTKN-1',
    [name, '2', digest, secret],
    ['TOKEN', version, digest, secret],
    [name, version, digest!.slice(1), secret],
    [name, version, digest, `${secret}0`],
    [name, version, digest!.toUpperCase(), secret],
    [name, version, digest, secret, 'more'],
  ].map((parts) => (Array.isArray(parts) ? parts.join('-') : parts));
  for (const token of wrong) t.throws(() => digestOfToken(token), { code: 'invalid-argument' }, token);
  t.end();
});

t.test('join token › gives its role, and no other token gives any', (t) => {
  const tokens = createJoinTokens(DOCKER_ROOT, realRandom);
  t.equal(roleOfToken(tokens, tokens.Worker), 'worker');
  t.equal(roleOfToken(tokens, tokens.Manager), 'manager');
  for (const other of ['', DOCKER_TOKEN, tokens.Worker.slice(0, -1), `${tokens.Worker}0`]) {
    t.equal(roleOfToken(tokens, other), undefined, other);
  }
  t.end();
});
