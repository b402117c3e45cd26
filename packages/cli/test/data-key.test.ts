import { CLUSTER_KEY, type ClusterDataKey } from '@swarmd/model';
import t from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { SELF, startWorld } from './support/world.js';

t.test('info › says how far a new data key is, and warns of managers that it waits for', async (t) => {
  const world = await startWorld();
  t.teardown(() => world.stop());
  const swarmctl = swarmctlFor(world);
  const set = (DataKey: ClusterDataKey) =>
    world.store.update((tx) => {
      tx.put('cluster', { ...tx.get('cluster', CLUSTER_KEY)!, DataKey });
      const node = tx.get('node', 'worker1')!;
      const ManagerStatus = { Reachability: 'unreachable' as const, Addr: '' };
      tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'manager' }, ManagerStatus });
    });
  const info = () => swarmctl(['info']);
  const Next = { ID: 'b', Since: '2026-01-02T03:04:05Z', HeldBy: [SELF] };
  await set({ ID: 'a' });
  t.notMatch(await info(), { stdout: 'Data Key' });
  await set({ ID: 'a', Next });
  const waiting = await info();
  t.match(waiting.stdout, / Data Key: being replaced since 2026-01-02T03:04:05Z, waits for worker1 \(unreachable\)\n/);
  t.match(waiting.stderr, /^WARNING: the data key is being replaced, .* down: start or demote worker1\n/m);
  await set({ ID: 'a', Next: { ...Next, HeldBy: [SELF, 'worker1'] } });
  const held = await info();
  t.match(held.stdout, /waits for the leader\n/);
  t.notMatch(held.stderr, 'data key');
  await set({ ID: 'b', Resealing: true });
  t.match((await info()).stdout, / Data Key: replaced, the stored state is being sealed anew\n/);
});
