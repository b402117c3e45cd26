import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { nodeState, runningContainers, waitForExactly } from './support/observe.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const LOCKED = /Swarm is encrypted and needs to be unlocked before it can be used\. Please use "docker swarm unlock"/;
const WRONG = 'SWMKEY-1-c8wSzrxgT2TvhFZ/K7/FuySlJQwTbull0bP/jJHvS+A';
const CERTIFICATE = '/var/lib/swarmd/certificates/node.pem';
const DATA_KEY = '/var/lib/swarmd/manager/data.key';
const ETCD = '/var/lib/swarmd/manager/etcd.json';

t.test(
  'autolock › a manager that starts again waits for its key; containers, engine and workers go on',
  { skip },
  async (t) => {
    const cluster = await createCluster({ hosts: 2 });
    t.teardown(() => cluster[Symbol.asyncDispose]());
    const { docker, tryDocker, swarmctl, trySwarmctl, hosts } = cluster;
    const [manager, worker] = hosts as [Host, Host];
    await Promise.all(hosts.map((host) => importBusyboxImage(host)));

    const state = async (): Promise<string> =>
      (await docker(manager, 'info', '--format', '{{.Swarm.LocalNodeState}}')).trim();
    const unlock = (key: string) =>
      manager.exec(['docker', '-H', `unix://${SWARMD_SOCKET}`, 'swarm', 'unlock'], { input: `${key}\n` });
    const restart = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
      await cluster.swarmd(manager).stop(signal);
      await cluster.startSwarmd(manager);
    };
    const onDisk = async (): Promise<string> => manager.run(['cat', CERTIFICATE, DATA_KEY]);
    const sealed = async (): Promise<boolean> => !/PRIVATE KEY|data key/.test(await onDisk());
    const clear = async (): Promise<boolean> => !/SEALED/.test(await onDisk());
    const expectLocked = async (): Promise<void> => {
      t.equal(await state(), 'locked');
      t.match(await tryDocker(manager, 'node', 'ls'), { code: 1, stderr: LOCKED });
    };
    const expectServing = async (): Promise<void> => {
      t.equal(await state(), 'active');
      await waitFor('all nodes are ready', async () => {
        const states = await Promise.all(hosts.map((host) => nodeState(manager, host.name)));
        return states.every((found) => found === 'ready');
      });
    };

    const init = await docker(manager, 'swarm', 'init', '--autolock', '--advertise-addr', manager.ip);
    const key = /SWMKEY-1-\S+/.exec(init)?.[0] ?? '';
    t.match(init, /To unlock a swarm manager after it restarts, run the `docker swarm unlock`/);
    t.equal((await docker(manager, 'swarm', 'unlock-key', '-q')).trim(), key);
    t.ok(await sealed(), 'nothing was ever on the disk in the clear');
    const token = (await docker(manager, 'swarm', 'join-token', '-q', 'worker')).trim();
    await docker(worker, 'swarm', 'join', '--token', token, '--advertise-addr', worker.ip, `${manager.ip}:2377`);
    const task = ['--no-resolve-image', '--detach', 'busybox:latest', 'sleep', 'infinity'];
    await docker(manager, 'service', 'create', '--name', 'web', '--replicas', '4', ...task);
    await waitForExactly(hosts, 'web', 4);
    const before = await runningContainers(hosts, 'web');

    await t.test('locked', async (t) => {
      await restart('SIGKILL');
      await expectLocked();
      const status = ['-o', '/dev/null', '-w', '%{http_code}', '--unix-socket', SWARMD_SOCKET];
      for (const path of ['services', 'tasks', 'nodes', 'secrets', 'configs', 'swarm', 'swarm/unlockkey'])
        t.equal(await manager.run(['curl', '-s', ...status, `http://swarmd/${path}`]), '503', path);
      t.match(await tryDocker(manager, 'swarm', 'leave'), { code: 1, stderr: /Swarm is encrypted and locked/ });
      t.match(await tryDocker(manager, 'swarm', 'init'), { code: 1, stderr: /already part of a swarm/ });
      t.match(await tryDocker(manager, 'ps', '-q'), { code: 0, stdout: /[0-9a-f]{12}/ }, 'its engine answers as ever');
      t.same(await runningContainers(hosts, 'web'), before, 'containers go on');
      t.match(await trySwarmctl(manager, 'node', 'ls'), { code: 1, stderr: LOCKED });
    });

    await t.test('wrong keys open nothing, the right one does', async (t) => {
      t.match(await unlock('nonsense'), { code: 1, stderr: 'Error response from daemon: invalid key string\n' });
      t.match(await unlock(WRONG), {
        code: 1,
        stderr: 'Error response from daemon: swarm could not be unlocked: invalid key provided\n',
      });
      await expectLocked();
      t.match(await unlock(key), { code: 0, stdout: '', stderr: '' });
      await expectServing();
      t.same(await runningContainers(hosts, 'web'), before, 'the same containers');
      t.match(await unlock(key), { code: 1, stderr: 'Error: swarm is not locked\n' });
      await docker(manager, 'service', 'scale', '--detach', 'web=6');
      await waitForExactly(hosts, 'web', 6);
    });

    await t.test('after a rotation the new key alone opens it', async (t) => {
      const answer = await docker(manager, 'swarm', 'unlock-key', '--rotate');
      t.match(answer, /^Successfully rotated manager unlock key\.\n/);
      const rotated = (await docker(manager, 'swarm', 'unlock-key', '-q')).trim();
      t.not(rotated, key);
      const log = () => cluster.swarmd(manager).log;
      await waitFor('the store is sealed anew', async () => /sealed with the new data key alone/.test(log()));
      await restart();
      await expectLocked();
      t.match(await unlock(key), { code: 1, stderr: /invalid key provided/ });
      t.match(await unlock(rotated), { code: 0 });
      await expectServing();
    });

    await t.test('turned off it starts by itself, turned on again its node has a new key', async (t) => {
      await docker(manager, 'swarm', 'update', '--autolock=false');
      await waitFor('its keys are in the clear', clear);
      t.match(await tryDocker(manager, 'swarm', 'unlock-key'), { code: 1, stderr: 'no unlock key is set\n' });
      await restart();
      await expectServing();
      const serial = () => manager.run(['openssl', 'x509', '-in', CERTIFICATE, '-noout', '-serial', '-pubkey']);
      const old = await serial();
      const updated = await swarmctl(manager, 'update', '--autolock');
      const again = /SWMKEY-1-\S+/.exec(updated)?.[0] ?? '';
      t.match(updated, /^Swarm updated\.\nTo unlock a swarm manager after it restarts, run the `swarmctl unlock`/);
      await waitFor('its keys are sealed', sealed);
      await waitFor('its certificate is another', async () => (await serial()) !== old);
      t.ok(await sealed());
      await restart();
      await expectLocked();
      t.match(await trySwarmctl(manager, 'unlock'), { code: 1, stderr: /invalid key string/ }, 'without any input');
      t.match(await unlock(again), { code: 0 });
      await expectServing();
      t.equal((await swarmctl(manager, 'swarm', 'unlock-key', '-q')).trim(), again);
      await waitForExactly(hosts, 'web', 6);
    });

    await t.test('a locked manager leaves by force and takes its containers along', async (t) => {
      await restart();
      await expectLocked();
      t.equal(await docker(manager, 'swarm', 'leave', '--force'), 'Node left the swarm.\n');
      t.equal(await state(), 'inactive');
      await waitFor(
        'its containers are gone',
        async () => (await runningContainers([manager], 'web'))[manager.name]!.length === 0,
      );
    });
  },
);

t.test('autolock › every manager is sealed, also with a key that changed while it was away', { skip }, async (t) => {
  const cluster = await createCluster({ hosts: 3 });
  t.teardown(() => cluster[Symbol.asyncDispose]());
  const { docker, hosts } = cluster;
  const [first, second, third] = hosts as [Host, Host, Host];
  const secrets = (host: Host): Promise<string> => host.run(['cat', CERTIFICATE, DATA_KEY, ETCD]);
  const sealed = async (host: Host): Promise<boolean> => !/PRIVATE KEY|data key|"keyPem"/.test(await secrets(host));
  const sealings = (host: Host): number => cluster.swarmd(host).log.split('keys are sealed').length - 1;
  const state = async (host: Host): Promise<string> =>
    (await docker(host, 'info', '--format', '{{.Swarm.LocalNodeState}}')).trim();
  const unlock = (host: Host, key: string) =>
    host.exec(['docker', '-H', `unix://${SWARMD_SOCKET}`, 'swarm', 'unlock'], { input: `${key}\n` });
  const serving = (host: Host): Promise<void> =>
    waitFor(`${host.name} serves and all managers are reachable`, async () => {
      const answer = await cluster.tryDocker(host, 'node', 'ls', '--format', '{{.ManagerStatus}}');
      return answer.code === 0 && /^(Leader|Reachable)\n(Leader|Reachable)\n(Leader|Reachable)\n$/.test(answer.stdout);
    });

  const init = await docker(first, 'swarm', 'init', '--autolock', '--advertise-addr', first.ip);
  const key = /SWMKEY-1-\S+/.exec(init)?.[0] ?? '';
  const token = (await docker(first, 'swarm', 'join-token', '-q', 'manager')).trim();
  for (const host of [second, third])
    await docker(host, 'swarm', 'join', '--token', token, '--advertise-addr', host.ip, `${first.ip}:2377`);
  await serving(third);
  for (const host of hosts) t.ok(await sealed(host), `${host.name} is sealed as soon as it serves`);

  await t.test('a rotation reaches every manager that runs', async (t) => {
    await cluster.swarmd(third).stop();
    const before = sealings(second);
    await docker(first, 'swarm', 'unlock-key', '--rotate');
    const rotated = (await docker(second, 'swarm', 'unlock-key', '-q')).trim();
    t.not(rotated, key);
    await waitFor('the follower is sealed anew', async () => sealings(second) > before);
    await cluster.swarmd(second).stop();
    await cluster.startSwarmd(second);
    t.equal(await state(second), 'locked');
    t.match(await unlock(second, key), { code: 1, stderr: /invalid key provided/ });
    t.match(await unlock(second, rotated), { code: 0 });

    const asItWas = sealings(third);
    await cluster.startSwarmd(third);
    t.equal(await state(third), 'locked');
    t.match(await unlock(third, rotated), { code: 1, stderr: /invalid key provided/ }, 'it was away');
    t.match(await unlock(third, key), { code: 0 });
    await serving(third);
    await waitFor('it is sealed anew', async () => sealings(third) > asItWas);
    await cluster.swarmd(third).stop();
    await cluster.startSwarmd(third);
    t.match(await unlock(third, key), { code: 1, stderr: /invalid key provided/ });
    t.match(await unlock(third, rotated), { code: 0 });
    await serving(third);
    for (const host of hosts) t.ok(await sealed(host), host.name);
  });

  await t.test('turned off, every manager starts by itself', async (t) => {
    await docker(second, 'swarm', 'update', '--autolock=false');
    for (const host of hosts)
      await waitFor(`${host.name} is in the clear`, async () => !/SEALED/.test(await secrets(host)));
    await cluster.swarmd(third).stop();
    await cluster.startSwarmd(third);
    t.not(await state(third), 'locked');
    await serving(third);
  });
});
