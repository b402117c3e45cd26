import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InitRequest, JoinRequest } from '@swarmd/model';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { readConfig } from '../src/config.js';
import { managerDir } from '../src/manager/manager-files.js';
import { openEmbedded } from '../src/manager/store-host.js';
import { type Member, saveMember } from '../src/member-file.js';
import { createMembership, type DaemonMembership } from '../src/membership.js';
import { systemClock, systemRandom } from '../src/system-ports.js';

const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
const member: Member = { listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1:2377', managers: ['127.0.0.1:2377'] };

/** A membership over an empty data directory, on a machine without an engine. */
function world(t: Test): { dir: string; membership: DaemonMembership } {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-member-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const read = readConfig(['--data-dir', dir, '--engine', `unix://${dir}/no-engine.sock`], {}, '0');
  if (!('run' in read)) throw new Error(read.text);
  const onStoreFailure = (): void => {
    t.fail('no store fails here');
  };
  return { dir, membership: createMembership({ config: read.run, ports, version: '0', onStoreFailure }) };
}

t.test('membership › what a crash left of an init, a join or a leave is cleared away', async (t) => {
  for (const unfinished of ['joining', 'leaving'] as const) {
    const { dir, membership } = world(t);
    await (await openEmbedded(dir, ports)).store.close();
    mkdirSync(join(dir, 'certificates'));
    writeFileSync(join(dir, 'certificates', 'node.pem'), 'half an identity');
    await saveMember(dir, { ...member, unfinished });
    await membership.resume();
    t.equal(membership.info().LocalNodeState, 'inactive');
    t.notOk(existsSync(managerDir(dir)));
    t.same(readdirSync(join(dir, 'certificates')), []);
    t.notOk(existsSync(join(dir, 'member.json')));
  }
});

t.test('membership › a part that is missing is reported, and what is left stays', async (t) => {
  const withoutMember = world(t);
  await (await openEmbedded(withoutMember.dir, ports)).store.close();
  await t.rejects(withoutMember.membership.resume(), { code: 'damaged', message: /member\.json is missing/ });
  t.ok(existsSync(join(managerDir(withoutMember.dir), 'store')), 'the cluster is still there');

  const withoutIdentity = world(t);
  await saveMember(withoutIdentity.dir, member);
  await t.rejects(withoutIdentity.membership.resume(), { code: 'damaged', message: /node\.pem is missing/ });
  t.ok(existsSync(join(withoutIdentity.dir, 'member.json')));

  const { dir } = world(t);
  await t.rejects(openEmbedded(dir, ports, { mustExist: true }), {
    code: 'damaged',
    message: /store of this manager .* is missing/,
  });
  t.notOk(existsSync(managerDir(dir)), 'and no new one was made');
});

t.test('membership › an init or a join that fails leaves nothing behind', async (t) => {
  const { dir, membership } = world(t);
  await t.rejects(membership.init({ AdvertiseAddr: '127.0.0.1' }), {
    code: 'unavailable',
    message: /no Docker engine/,
  });
  t.same(
    readdirSync(dir).filter((name) => name !== 'certificates'),
    [],
  );
  await t.resolves(membership.resume());
});

t.test('membership › requests of another form are refused with the field', async (t) => {
  const { membership } = world(t);
  const inits: [unknown, RegExp][] = [
    [{ ListenAddr: 5 }, /ListenAddr/],
    [{ DefaultAddrPool: '10.0.0.0/8' }, /DefaultAddrPool/],
    [{ DataPathPort: 1e9 }, /DataPathPort/],
    [{ Availability: 'gone' }, /Availability/],
    ['x', /no object/],
  ];
  for (const [body, message] of inits)
    await t.rejects(membership.init(body as InitRequest), { code: 'invalid-argument', message });
  const joins: [unknown, RegExp][] = [
    [{ RemoteAddrs: '10.0.0.1', JoinToken: '' }, /RemoteAddrs/],
    [{ RemoteAddrs: [5], JoinToken: '' }, /RemoteAddrs/],
    [{ RemoteAddrs: [], JoinToken: 5 }, /JoinToken/],
  ];
  for (const [body, message] of joins)
    await t.rejects(membership.join(body as JoinRequest), { code: 'invalid-argument', message });
  t.equal(membership.info().LocalNodeState, 'inactive');
});
