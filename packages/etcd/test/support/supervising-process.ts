import { TestCluster } from './etcd.js';

// Supervises one etcd until it is killed, and tells its process ID: a process of its own for the test of orphans.
const cluster = await TestCluster.create({ teardown: () => {}, passing: () => true });
const { running } = await cluster.start('a');
await running.ready(AbortSignal.timeout(20_000));
console.log(JSON.stringify({ pid: running.pid, root: cluster.root, keys: cluster.keys }));
setInterval(() => {}, 1_000);
