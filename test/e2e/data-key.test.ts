import { type Host, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

/** The ID of the key that a value was sealed with lies behind one byte, in four. */
const KEY_ID = { from: 1, to: 5 } as const;

t.test(
  'data key › three managers replace it with the unlock key, though the leader is killed meanwhile',
  { skip },
  async (t) => {
    const cluster = await createCluster({ hosts: 3 });
    t.teardown(() => cluster[Symbol.asyncDispose]());
    const { docker, tryDocker, swarmctl, trySwarmctl, hosts } = cluster;
    const [first] = hosts as [Host, Host, Host];

    const etcdctl = async (
      host: Host,
      ...args: string[]
    ): Promise<{ code: number; stdout: string; stderr: string }> => {
      const processes = await host.run(['ps', '-eo', 'args', '-ww']);
      const endpoint = /--listen-client-urls=(\S+)/.exec(processes)?.[1] ?? '';
      const files = ['--cacert', '/run/swarmd/etcd/ca.pem', '--cert', '/run/swarmd/etcd/member.pem'];
      const key = ['--key', '/run/swarmd/etcd/member.pem', '--endpoints', endpoint];
      return host.exec(['env', 'ETCDCTL_API=3', 'etcdctl', ...files, ...key, ...args]);
    };
    /** The IDs of all keys that something in etcd is sealed with. */
    const keysInUse = async (host: Host): Promise<string[]> => {
      const { stdout } = await etcdctl(host, 'get', '--prefix', '/swarmd/', '-w', 'json');
      const { kvs } = JSON.parse(stdout) as { kvs: { key: string; value: string }[] };
      const sealed = kvs.filter(({ key }) => /\/swarmd\/(state|o\/)/.test(Buffer.from(key, 'base64').toString()));
      if (sealed.length < 40) throw new Error(`only ${sealed.length} values were found`);
      const ids = sealed.map(({ value }) => Buffer.from(value, 'base64').toString('hex', KEY_ID.from, KEY_ID.to));
      return [...new Set(ids)].sort();
    };
    const revision = async (host: Host): Promise<number> => {
      const { stdout } = await etcdctl(host, 'get', '/swarmd/state', '-w', 'json');
      return (JSON.parse(stdout) as { header: { revision: number } }).header.revision;
    };
    const rotating = async (host: Host): Promise<boolean> => / Data Key: /.test(await swarmctl(host, 'info'));
    const unlock = (host: Host, key: string) =>
      host.exec(['docker', '-H', `unix://${SWARMD_SOCKET}`, 'swarm', 'unlock'], { input: `${key}\n` });
    const leaderSeenBy = async (host: Host): Promise<Host | undefined> => {
      const { stdout } = await tryDocker(host, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
      return hosts.find(({ name }) => new RegExp(`^${name} Leader$`, 'm').test(stdout));
    };
    const allServe = (): Promise<void> =>
      waitFor('all managers serve', async () => {
        const answers = await Promise.all(
          hosts.map((host) => tryDocker(host, 'node', 'ls', '--format', '{{.ManagerStatus}}')),
        );
        return answers.every(
          ({ code, stdout }) => code === 0 && (stdout.match(/Leader|Reachable/g) ?? []).length === 3,
        );
      });

    await cluster.form({ managers: 3 });
    for (let i = 0; i < 40; i++) await docker(first, 'config', 'create', `config-${i}`, '/etc/hostname');
    const names = (await docker(first, 'config', 'ls', '--format', '{{.Name}}')).trim().split('\n').sort();
    const [original = ''] = await keysInUse(first);
    t.equal(
      (await first.exec(['test', '-e', '/var/lib/swarmd/manager/store'])).code,
      1,
      'the embedded store of when there was one manager is gone',
    );
    const [before, old] = [await revision(first), new Set([original])];

    const updated = await swarmctl(first, 'swarm', 'update', '--autolock=true');
    const key = /SWMKEY-1-\S+/.exec(updated)?.[0] ?? '';
    await waitFor('the key is replaced', async () => !(await keysInUse(first)).includes(original));
    await waitFor('the rotation is over', async () => !(await rotating(first)));
    const [second = '', ...more] = await keysInUse(first);
    t.same(more, [], 'one key seals everything');
    old.add(second);
    t.match(
      await etcdctl(first, 'get', '--prefix', '/swarmd/', '--rev', `${before}`),
      { code: 1, stderr: /compacted/ },
      'the history under the old key is gone',
    );

    const killed = (await leaderSeenBy(first))!;
    const [survivor, other] = hosts.filter((host) => host !== killed) as [Host, Host];
    const waitsFor = (manager: Host): Promise<void> =>
      waitFor(`it waits for ${manager.name}`, async () =>
        new RegExp(` Data Key: being replaced .*\\b${manager.name} \\(`).test(
          (await trySwarmctl(survivor, 'info')).stdout,
        ),
      );
    // Its etcd goes on; it does not get to take the new key.
    await cluster.swarmd(other).signal('SIGSTOP');
    await swarmctl(survivor, 'unlock-key', '--rotate');
    await waitsFor(other);
    await cluster.swarmd(killed).stop('SIGKILL');
    await waitFor('the one that is left leads', async () => (await leaderSeenBy(survivor)) === survivor);
    await waitsFor(other);
    await waitFor('it says whom to start or demote', async () =>
      /data key .* start or demote/.test((await trySwarmctl(survivor, 'info')).stderr),
    );
    await cluster.swarmd(other).signal('SIGCONT');
    const rotated = (await swarmctl(survivor, 'unlock-key', '-q')).trim();
    t.not(rotated, key);
    await docker(survivor, 'config', 'create', 'meanwhile', '/etc/hostname');

    await cluster.startSwarmd(killed);
    // Whether it sealed itself anew before it died is not known.
    const answers = [await unlock(killed, key), await unlock(killed, rotated)];
    const opened = answers.filter(({ code }) => code === 0).length;
    t.equal(opened, 1, 'it opens with the old or with the new key');
    await allServe();
    for (const host of hosts) await waitFor(`${host.name} sees the end`, async () => !(await rotating(host)));
    for (const host of hosts) {
      const inUse = await keysInUse(host);
      t.equal(inUse.length, 1, `${host.name}: one key seals everything`);
      t.notOk(old.has(inUse[0]!), 'and it is none of the old ones');
      await waitFor(`${host.name} forgets the old key`, () =>
        new RegExp(`"dataKey":"${inUse[0]}".*(old data key is forgotten|new data key alone)`).test(
          cluster.swarmd(host).log,
        ),
      );
    }

    for (const host of [killed, survivor, other]) {
      await cluster.swarmd(host).stop();
      await cluster.startSwarmd(host);
      t.match(await unlock(host, key), {
        code: 1,
        stderr: 'Error response from daemon: swarm could not be unlocked: invalid key provided\n',
      });
      t.match(await unlock(host, rotated), { code: 0 });
      await allServe();
      const found = (await docker(host, 'config', 'ls', '--format', '{{.Name}}')).trim().split('\n').sort();
      t.strictSame(found, [...names, 'meanwhile'].sort(), `${host.name} has everything`);
    }

    // As when a disk is put back to how it was before a rotation.
    const files = ['certificates/node.pem', 'manager/data.key', 'manager/etcd.json'];
    const copy = (to: string, from: string): Promise<string[]> =>
      Promise.all(files.map((file) => other.run(['cp', '-p', `${from}/${file}`, `${to}/${file}`])));
    await other.run(['mkdir', '-p', '/tmp/earlier/certificates', '/tmp/earlier/manager']);
    await copy('/tmp/earlier', '/var/lib/swarmd');
    const [third = ''] = await keysInUse(survivor);
    await swarmctl(survivor, 'unlock-key', '--rotate');
    await waitFor('the key is replaced', async () => !(await keysInUse(survivor)).includes(third));
    await waitFor('the rotation is over', async () => !(await rotating(survivor)));
    await cluster.swarmd(other).stop();
    await copy('/var/lib/swarmd', '/tmp/earlier');
    await cluster.startSwarmd(other);
    t.match(await unlock(other, rotated), { code: 0 }, 'a manager with the keys of earlier opens with the key of then');
    await allServe();
    t.match(await docker(other, 'config', 'ls', '--format', '{{.Name}}'), 'meanwhile');
  },
);
