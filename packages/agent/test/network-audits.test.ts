import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NETWORK_INQUIRIES, type NetworkAudit } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import t from 'tap';
import { createNetworkAuditsClient, networkInquiries } from '../src/network/audits.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

const { signal } = new AbortController();
const sound: NetworkAudit = { protocol: 1, version: '0.1.0', clockMs: 5, networks: [], locals: [], findings: [] };

/** A swarmd-net that answers with `answers` by path, and the inquiries over it; without answers there is none. */
async function inquiries(t: Teardown, answers?: Record<string, unknown>) {
  const folder = mkdtempSync(join(tmpdir(), 'audits-'));
  const socket = join(folder, 'net.sock');
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const key = `${request.method} ${request.url}`;
    asked.push(key);
    request.resume();
    const answer = answers?.[key];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? { code: 'not-found', message: 'this node does not have it' }));
  });
  if (answers !== undefined) await once(server.listen(socket), 'listening');
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const handlers = networkInquiries(createNetworkAuditsClient(socket), manualClock(7));
  return { asked, ask: (kind: string, question: unknown) => handlers[kind]!(question, signal) };
}

t.test('network inquiries › are put to swarmd-net', async (t) => {
  const { ask, asked } = await inquiries(t, {
    'POST /audit': sound,
    'GET /members/n%2F1': { lines: ['a'] },
    'POST /probe': { ping: true, unheardOf: 1 },
  });
  t.same(await ask(NETWORK_INQUIRIES.audit, { repair: true }), sound);
  t.same(await ask(NETWORK_INQUIRIES.members, { networkId: 'n/1' }), { lines: ['a'] });
  const reach = { do: 'reach', networkId: 'n', from: '10.0.0.2', to: '10.0.0.3', port: 0 };
  t.same(await ask(NETWORK_INQUIRIES.probe, reach), { ping: true }, 'what is not known is dropped');
  t.equal(asked.length, 3);
  await t.rejects(ask(NETWORK_INQUIRIES.members, { networkId: 'n2' }), { code: 'not-found' });
});

t.test('network inquiries › what makes no sense goes no further', async (t) => {
  const { ask, asked } = await inquiries(t, { 'POST /probe': { ping: 'perhaps' } });
  await t.rejects(ask(NETWORK_INQUIRIES.audit, { repair: 'yes' }), { code: 'invalid-argument' });
  await t.rejects(ask(NETWORK_INQUIRIES.probe, { do: 'harm' }), { code: 'invalid-argument' });
  await t.rejects(ask(NETWORK_INQUIRIES.members, null), { code: 'invalid-argument' });
  t.same(asked, []);
  const heard = { do: 'heard', token: '00000a' };
  await t.rejects(ask(NETWORK_INQUIRIES.probe, heard), { code: 'incompatible' });
});

t.test('network inquiries › an audit says that swarmd-net is not there', async (t) => {
  const { ask } = await inquiries(t);
  t.match(await ask(NETWORK_INQUIRIES.audit, { repair: false }), { protocol: 0, clockMs: 7, networks: [] });
  await t.rejects(ask(NETWORK_INQUIRIES.members, { networkId: 'n' }), { code: 'unavailable' });
});
