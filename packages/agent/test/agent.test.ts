import { createLab, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import Docker from 'dockerode';
import t from 'tap';
import { createAgent } from '../src/agent.js';
import { CLUSTER_LABEL } from '../src/labels.js';
import { busybox, specChange, TestManager, taskChange } from './support/manager.js';
import { agentOptions } from './support/system.js';

const why = whyNoHosts();
if (why) {
  t.pass(`skipped: ${why}`, { skip: why });
} else {
  t.setTimeout(240_000);
  const lab = await createLab({ name: `agent-${process.pid}`, hosts: 1 });
  t.teardown(() => lab.destroy());
  const host = lab.hosts[0]!;
  await importBusyboxImage(host);
  const docker = new Docker({ socketPath: host.engineSocket });
  const ours = () =>
    docker.listContainers({ all: true, filters: JSON.stringify({ label: [`${CLUSTER_LABEL}=cluster1`] }) });

  t.test('agent › runs, stops and removes an assigned task', async (t) => {
    const manager = await new TestManager().start();
    const agent = createAgent({
      ...agentOptions(),
      engineSocket: host.engineSocket,
      connect: manager.connect,
      managers: () => [manager.addr],
    });
    await agent.start();
    await manager.until(() => manager.connected, 'a session');
    manager.complete([specChange(busybox('exec sleep 1000')), taskChange('t1', 'running')], 5);
    await manager.state('t1', 'running');
    const [container] = await ours();
    t.match(container, { Names: ['/web.1.t1'], State: 'running', Image: 'busybox:latest' });
    t.ok(manager.statuses.get('t1')?.ContainerStatus?.PID);
    manager.incremental([taskChange('t1', 'shutdown')], 6);
    await manager.state('t1', 'shutdown');
    t.match(await ours(), [{ State: 'exited' }]);
    manager.incremental([taskChange('t1', 'remove')], 7);
    manager.incremental([taskChange('t1', 'remove', { remove: true })], 8);
    await agent.leave();
    t.strictSame(await ours(), []);
    manager.kill();
  });
}
