import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { containersOn, nodeState, waitForExactly, waitForNoContainers } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** What the guide says to back up; a mount of its own on a test host. */
const dataDir = '/var/lib/swarmd';
const copy = '/run/swarmd-copy';

const shared = shareCluster(t, () => createCluster({ hosts: 2 }));

t.test('restore › workers follow a manager that was put back from an older copy', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, swarmd, startSwarmd } = cluster;
  const [manager, worker] = hosts as [Host, Host];
  const create = (name: string, replicas: number): Promise<string> => {
    const options = ['--replicas', `${replicas}`, '--stop-grace-period', '1s', '--detach'];
    return docker(manager, 'service', 'create', '--name', name, ...options, 'busybox:latest', 'sleep', 'infinity');
  };
  const bothReady = (): Promise<void> =>
    waitFor('both nodes are ready', async () => {
      const states = await Promise.all(hosts.map(({ name }) => nodeState(manager, name)));
      return states.every((state) => state === 'ready');
    });
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));
  await cluster.form();
  await create('kept', 4);
  const kept = await waitForExactly(hosts, 'kept', 4);
  t.equal(kept[worker.name]!.length, 2);

  await swarmd(manager).stop();
  await manager.run(['cp', '-a', dataDir, copy]);
  await startSwarmd(manager);
  await bothReady();
  await create('lost', 4);
  const lost = await waitForExactly(hosts, 'lost', 4);
  t.equal(lost[worker.name]!.length, 2);
  // The worker has to be ahead of all that the restored manager writes by itself when it starts.
  for (const label of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
    await docker(manager, 'service', 'update', '--detach', '--label-add', `${label}=1`, 'lost');
    await docker(manager, 'service', 'scale', '--detach', `lost=${label < 'e' ? 6 : 4}`);
  }
  await waitForExactly(hosts, 'lost', 4);

  await swarmd(manager).stop();
  await manager.run(['find', dataDir, '-mindepth', '1', '-delete']);
  await manager.run(['cp', '-a', `${copy}/.`, dataDir]);
  await startSwarmd(manager);
  await bothReady();
  await waitForNoContainers(hosts, 'lost');
  t.same(await waitForExactly(hosts, 'kept', 4), kept, 'what the copy knows goes on in the same containers');
  await create('new', 4);
  t.equal((await waitForExactly(hosts, 'new', 4))[worker.name]!.length, 2, 'the worker takes new tasks');
  t.match(swarmd(manager).log, /put back from an older copy/);

  await swarmd(worker).stop('SIGKILL');
  await startSwarmd(worker);
  await docker(manager, 'service', 'scale', '--detach', 'new=6');
  await waitForExactly(hosts, 'new', 6);
  t.equal((await containersOn(worker, 'lost')).length, 0);
});
