import t from 'tap';
import { formatAddress, parseAddress } from '../src/addresses.js';

t.test('addresses › are an IP or an interface, with an optional port', async (t) => {
  for (const [text, expected] of [
    ['10.0.0.1', '10.0.0.1:2377'],
    ['10.0.0.1:4000', '10.0.0.1:4000'],
    ['[fd00::1]:4000', '[fd00::1]:4000'],
    ['[fd00::1]', '[fd00::1]:2377'],
    ['fd00::1', '[fd00::1]:2377'],
    ['lo', '127.0.0.1:2377'],
    ['lo:4000', '127.0.0.1:4000'],
  ] as const) {
    t.equal(formatAddress(parseAddress(text, 'AdvertiseAddr')), expected, text);
  }
});

t.test('addresses › that are neither are refused by the name of their field', async (t) => {
  for (const text of ['', 'no-such-interface', 'host.example.org:2377', '10.0.0.1:0', '10.0.0.1:70000', '10.0.0.300']) {
    t.throws(
      () => parseAddress(text, 'ListenAddr'),
      { code: 'invalid-argument', field: 'ListenAddr', message: /invalid ListenAddr/ } as unknown as Error,
      text,
    );
  }
});
