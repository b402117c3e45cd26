import type { Task } from '@swarmd/model';
import { buildServiceSpec, createService } from '@swarmd/testkit';
import t from 'tap';
import { MANAGER_LOOPS } from '../src/cluster/loops.js';
import { buildNetwork } from './support/network-world.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { startTestManager, untilStore } from './support/test-manager.js';

const path = (n: number) => ({ addr: `192.168.0.${n}`, mtu: 1500, encryption: false });

t.test(
  'scheduler › tasks on overlays wait for nodes that come with a data path, and follow how they come',
  async (t) => {
    const test = await startTestManager({ loops: MANAGER_LOOPS });
    t.teardown(() => test.stop());
    const { store } = test;
    const identity = await test.join();
    const register = async (over = {}): Promise<TestAgent> => {
      const agent = startTestAgent(test.addr, identity, over);
      t.teardown(() => agent.close());
      keepBeating(agent);
      await agent.next('assignments');
      return agent;
    };
    const tasks = (): Task[] => [...store.view.find('task', 'service', 'web')];
    const waits = () => tasks().filter(({ NodeID }) => NodeID === '');
    const scale = (replicas: number): Promise<unknown> =>
      store.update((tx) => {
        const service = tx.get('service', 'web')!;
        tx.put('service', { ...service, Spec: { ...service.Spec, Mode: { Replicated: { Replicas: replicas } } } });
      });

    const rootless = await register();
    await store.update((tx) => {
      tx.create('network', buildNetwork('net', 77));
      const spec = buildServiceSpec('web', 1);
      createService(tx, 'web', { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks: [{ Target: 'net' }] } });
    });
    const words = 'no overlay networks on 1 node';
    await untilStore(store, () => tasks().some(({ Status }) => Status.Err?.includes(words)));
    t.match(tasks(), [{ NodeID: '', Status: { State: 'pending' } }]);
    t.ok(tasks()[0]!.NetworksAttachments?.[0]?.Addresses.length, 'it has its address');
    rootless.close();

    const first = await register({ dataPath: path(1) });
    await untilStore(store, () => tasks()[0]?.NodeID === identity.nodeId);
    const [running] = tasks();
    await first.until(() => first.assigned.has(`task/${running!.ID}`));
    await first.report(running!.ID, 'running');
    first.close();

    const second = await register();
    await scale(2);
    await untilStore(store, () => waits()[0]?.Status.Err?.includes(words) === true);
    t.match(store.view.get('task', running!.ID), { DesiredState: 'running', NodeID: identity.nodeId }, 'it stays');
    second.close();

    await register({ dataPath: path(1) });
    await untilStore(store, () => tasks().length === 2 && waits().length === 0);
  },
);
