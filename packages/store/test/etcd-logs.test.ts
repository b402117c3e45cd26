import { createEtcdClient, type EtcdClient } from '@swarmd/etcd';
import type { SharedLog } from '@swarmd/model';
import t from 'tap';
import { openEtcdLog } from '../src/index.js';
import { silent } from './builders.js';
import { conformance } from './conformance.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(180_000);

/** Opens a log as its leader. */
async function openLeading(client: EtcdClient, prefix: string): Promise<SharedLog> {
  const log = await openEtcdLog({ client, prefix, dataKey: Buffer.alloc(32, 7), logger: silent });
  const { signal } = new AbortController();
  const { term } = await log.barrier(signal);
  await log.claim({ nodeId: 'n1', addr: '127.0.0.1:2377' }, term, signal);
  return log;
}

async function suite(name: string, flags: readonly string[]): Promise<void> {
  const etcd = await runEtcd(t, flags);
  const client = createEtcdClient({ endpoint: etcd.endpoint });
  t.teardown(() => client.close());
  let places = 0;
  conformance(name, async () => {
    const prefix = `/${name.replaceAll(' ', '-')}-${places++}/`;
    return { open: () => openLeading(client, prefix) };
  });
}

if (withoutEtcd === false) {
  await suite('etcd', ['--max-txn-ops', '10240', '--max-request-bytes', `${16 << 20}`]);
  await suite('etcd with its own limits', []);
} else {
  t.test('log etcd › the suite that every log passes', { skip: withoutEtcd }, async () => {});
}
