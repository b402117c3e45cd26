import { importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(300_000);

t.test(
  'cluster › three hosts run a replicated service that the docker CLI creates, scales and removes',
  { skip },
  async (t) => {
    await using cluster = await createCluster({ hosts: 3 });
    await Promise.all(cluster.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
    await cluster.form();
    const manager = cluster.hosts[0]!;
    const running = async (): Promise<string[]> =>
      (
        await cluster.docker(
          manager,
          'service',
          'ps',
          'web',
          '--filter',
          'desired-state=running',
          '--format',
          '{{.Node}} {{.CurrentState}}',
        )
      )
        .split('\n')
        .filter((line) => line.includes('Running'));

    await cluster.docker(
      manager,
      'service',
      'create',
      '--name',
      'web',
      '--replicas',
      '3',
      '--stop-grace-period',
      '1s',
      'busybox:latest',
      'sleep',
      '1000',
    );
    const first = await running();
    t.equal(first.length, 3, 'create returns once all replicas run');
    t.equal(new Set(first.map((line) => line.split(' ')[0])).size, 3, 'one on each host');

    await cluster.docker(manager, 'service', 'scale', 'web=6');
    t.equal((await running()).length, 6);
    await cluster.docker(manager, 'service', 'rm', 'web');
    await waitFor('no container is left', async () => {
      const left = await Promise.all(cluster.hosts.map((host) => host.run(['docker', 'ps', '-aq'])));
      return left.every((list) => list.trim() === '');
    });
    t.match(await cluster.docker(manager, 'service', 'ls', '-q'), /^\s*$/);
  },
);
