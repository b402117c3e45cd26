import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callEngine, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { apiGet, nodeState, waitForExactly, waitForNoContainers } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const shared = shareCluster(t, () => createCluster({ hosts: 2 }));
/** Hosts see the machine's own files here. */
const folder = mkdtempSync(join(tmpdir(), 'swarmd-e2e-backup-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'cluster.swmbak');
const keyFile = join(folder, 'backup.key');

interface Named {
  ID: string;
  Version: { Index: number };
  Spec: { Name: string };
}

/** Creates configs one after another until it is stopped; resolves with the names that were acknowledged. */
function writeConfigs(host: Host): { acknowledged: string[]; stop(): Promise<void> } {
  const acknowledged: string[] = [];
  let going = true;
  const writing = (async () => {
    while (going) {
      const Name = `config-${String(acknowledged.length).padStart(5, '0')}`;
      const body = { Name, Data: 'eA==' };
      await callEngine(host.path(SWARMD_SOCKET), { method: 'POST', path: '/configs/create', body });
      acknowledged.push(Name);
    }
  })();
  return {
    acknowledged,
    stop: async () => {
      going = false;
      await writing;
    },
  };
}

function bothReady({ hosts }: Cluster): Promise<void> {
  return waitFor('both nodes are ready', async () => {
    const states = await Promise.all(hosts.map(({ name }) => nodeState(hosts[0]!, name)));
    return states.every((state) => state === 'ready');
  });
}

t.test('backup › a manager that was lost is restored, and the containers of its worker go on', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, swarmctl, trySwarmctl, swarmd, startSwarmd } = cluster;
  const [manager, worker] = hosts as [Host, Host];
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));
  await cluster.form();
  const create = (name: string, ...more: string[]): Promise<string> => {
    const options = ['--replicas', '4', '--stop-grace-period', '1s', '--detach', ...more];
    return docker(manager, 'service', 'create', '--name', name, ...options, 'busybox:latest', 'sleep', 'infinity');
  };
  writeFileSync(join(folder, 'word'), 'swordfish');
  await docker(manager, 'secret', 'create', 'word', join(folder, 'word'));
  await create('kept', '--secret', 'word');
  const kept = await waitForExactly(hosts, 'kept', 4);
  t.equal(kept[worker.name]!.length, 2);

  const writer = writeConfigs(manager);
  await waitFor('some configs are written', async () => writer.acknowledged.length >= 20);
  const before = [...writer.acknowledged];
  const told = await swarmctl(manager, 'backup', 'create', '--output', file, '--key-file', keyFile);
  await waitFor('more configs are written', async () => writer.acknowledged.length >= before.length + 20);
  await writer.stop();
  t.match(told, /read back and found whole/);
  t.match(told, /Z by swarmd \d+\.\d+/);
  t.match(told, readFileSync(keyFile, 'utf8').trim(), 'the new key is shown');
  t.match(await swarmctl(worker, 'backup', 'verify', file, '--key-file', keyFile), /The backup is whole/);
  const altered = readFileSync(file);
  altered[altered.length - 100]! ^= 1;
  writeFileSync(`${file}.altered`, altered);
  t.match(await trySwarmctl(worker, 'backup', 'verify', `${file}.altered`, '--key-file', keyFile), {
    code: 1,
    stderr: /damaged: part 1, at byte \d+/,
  });
  t.match(await trySwarmctl(manager, 'backup', 'restore', file, '--key-file', keyFile, '--yes'), {
    code: 1,
    stderr: /in a cluster/,
  });

  await create('lost');
  await waitForExactly(hosts, 'lost', 4);
  const clusterId = (await apiGet<{ ID: string }>(manager, '/swarm')).ID;
  const nodes = (await apiGet<Named[]>(manager, '/nodes')).map(({ ID }) => ID).sort();
  const versions = (await apiGet<Named[]>(manager, '/services')).map(({ Version }) => Version.Index);
  await swarmd(manager).stop('SIGKILL');
  await manager.run(['find', '/var/lib/swarmd', '-mindepth', '1', '-delete']);
  await startSwarmd(manager);

  const restore = ['backup', 'restore', '--key-file', keyFile, '--advertise-addr', manager.ip];
  t.match(await trySwarmctl(manager, ...restore, '--yes', `${file}.altered`), { code: 1, stderr: /damaged/ });
  t.match(await swarmctl(manager, ...restore, '--dry-run', file), /would happen[\s\S]*takes the place of manager/);
  t.equal((await apiGet<{ Swarm: { LocalNodeState: string } }>(manager, '/info')).Swarm.LocalNodeState, 'inactive');
  await swarmctl(manager, ...restore, '--yes', file);
  await bothReady(cluster);
  await waitForNoContainers(hosts, 'lost');
  t.same(await waitForExactly(hosts, 'kept', 4), kept, 'what the backup knows goes on in the same containers');
  t.equal((await apiGet<{ ID: string }>(manager, '/swarm')).ID, clusterId);
  t.same((await apiGet<Named[]>(manager, '/nodes')).map(({ ID }) => ID).sort(), nodes);
  const configs = (await apiGet<Named[]>(manager, '/configs')).map(({ Spec }) => Spec.Name).sort();
  t.ok(configs.length >= before.length, 'what was acknowledged before is there');
  t.same(configs, writer.acknowledged.slice(0, configs.length), 'and of what came later, nothing with a gap');
  await create('new');
  t.equal((await waitForExactly(hosts, 'new', 4))[worker.name]!.length, 2, 'the worker takes new tasks');
  const renewed = (await apiGet<Named[]>(manager, '/services')).find(({ Spec }) => Spec.Name === 'new')!;
  t.ok(renewed.Version.Index > Math.max(...versions), 'versions never go back');
});

t.test('backup › a manager writes backups by itself, and says when it cannot', { skip }, async (t) => {
  const { hosts, swarmctl, trySwarmctl, swarmd, startSwarmd } = await shared(t);
  const manager = hosts[0]!;
  const dir = join(folder, 'scheduled');
  const restart = async (key: string): Promise<void> => {
    await swarmd(manager).stop();
    await startSwarmd(manager, ['--backup-dir', dir, '--backup-key-file', key, '--backup-interval', '12h']);
  };
  await restart(join(folder, 'missing.key'));
  await waitFor('the failure is shown', async () => {
    const { stderr } = await trySwarmctl(manager, 'info');
    return /WARNING: the scheduled backup .* there is no recovery key/.test(stderr);
  });
  await restart(keyFile);
  await waitFor('a backup is there', async () => {
    const { stdout } = await trySwarmctl(manager, 'info');
    return /Is Manager: true/.test(stdout) && filesIn(dir).length === 1;
  });
  const [name] = filesIn(dir);
  t.match(await swarmctl(manager, 'backup', 'verify', join(dir, name!), '--key-file', keyFile), /The backup is whole/);
  t.notMatch((await trySwarmctl(manager, 'info')).stderr, /scheduled backup/);
});

t.test('backup › a new cluster is made of a backup on another host', { skip }, async (t) => {
  const { hosts, swarmctl } = await shared(t);
  const [manager, other] = hosts as [Host, Host];
  await swarmctl(other, 'leave', '--force');
  await waitForNoContainers([other]);
  const key = join(folder, 'key-from-paper');
  writeFileSync(key, readFileSync(keyFile, 'utf8').toUpperCase());
  chmodSync(key, 0o600);
  const restore = ['backup', 'restore', file, '--as-new', '--key-file', key, '--advertise-addr', other.ip];
  t.match(await swarmctl(other, ...restore, '--yes'), /A new cluster is made[\s\S]*swarmctl join --token/);
  const containers = (await waitForExactly([other], 'kept', 4))[other.name]!;
  t.equal(await other.run(['docker', 'exec', containers[0]!, 'cat', '/run/secrets/word']), 'swordfish');
  const swarmOf = (host: Host) => apiGet<{ ID: string; JoinTokens: { Worker: string } }>(host, '/swarm');
  const [old, made] = [await swarmOf(manager), await swarmOf(other)];
  t.not(made.ID, old.ID);
  t.not(made.JoinTokens.Worker.split('-')[2], old.JoinTokens.Worker.split('-')[2], 'another root certificate');
  t.equal((await apiGet<Named[]>(other, '/nodes')).length, 1);
});

function filesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => name.endsWith('.swmbak'));
  } catch {
    return [];
  }
}
