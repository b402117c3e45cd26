import { X509Certificate } from 'node:crypto';
import {
  type AnyObject,
  CLUSTER_KEY,
  type Cluster,
  type Node,
  type NodeDescription,
  type Service,
  type Store,
  type TableName,
  type TableTypes,
  type Task,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, manualClock, seededRandom } from '@swarmd/testkit';
import t from 'tap';
import {
  type BackedUp,
  bootstrapCluster,
  type PreparedRestore,
  prepareRestore,
  type RestoreOptions,
  restoredIndex,
} from '../src/index.js';

const clock = manualClock();
const random = seededRandom(5);
const description = buildNode('host-1').Description as NodeDescription;

/** A cluster of three managers and a worker, with a service, a job and a service on its way out. */
async function backedUp(): Promise<BackedUp> {
  const store = await openStore({ log: createMemoryLog(), clock });
  await bootstrapCluster(store, { clock, random, advertiseAddr: '10.0.0.1:2377', description });
  await store.update((tx) => {
    const Spec = { Role: 'manager' as const, Availability: 'active' as const, Labels: {} };
    for (const number of [2, 3]) {
      const ManagerStatus = { Reachability: 'reachable' as const, Addr: `10.0.0.${number}:2377` };
      tx.create('node', buildNode(`host-${number}`, { Spec, ManagerStatus, CertificateRole: 'manager' }));
    }
    tx.create('node', buildNode('host-4', { Spec: { Role: 'worker', Availability: 'drain', Labels: { zone: 'a' } } }));
    const Status = { Timestamp: tx.now, State: 'running' as const, Message: '' };
    const zone = buildServiceSpec('web', 2, {});
    zone.TaskTemplate = { ...zone.TaskTemplate, Placement: { Constraints: ['node.labels.zone == a'] } };
    const web = createService(tx, 'web', zone, { UpdateProgress: { StartedAt: tx.now, TotalSlots: 2 } });
    const job = createService(
      tx,
      'job',
      buildServiceSpec('job', 1, { Mode: { ReplicatedJob: { TotalCompletions: 2 } } }),
    );
    createService(tx, 'gone', buildServiceSpec('gone', 1), { PendingDelete: true });
    tx.create('task', buildTask(web, 'web-1', { NodeID: 'host-4', Status }));
    tx.create('task', buildTask(job, 'job-1', { NodeID: 'host-4', Status: { ...Status, State: 'complete' } }));
    tx.create('task', buildTask(job, 'job-2', { NodeID: 'host-4', Status }));
    tx.create('secret', { ID: 's', Spec: { Name: 's', Data: 'eA==' } });
  });
  return contentOf(store);
}

function contentOf({ view, index }: Store): BackedUp {
  const all = <T extends TableName>(table: T): TableTypes[T][] => [...view.all(table)];
  return {
    index,
    createdAt: new Date(clock.now()).toISOString(),
    clusters: all('cluster'),
    nodes: all('node'),
    services: all('service'),
    specs: all('spec'),
    tasks: all('task'),
    secrets: all('secret'),
    configs: all('config'),
    networks: all('network'),
  };
}

function restore(backup: BackedUp, over: Partial<RestoreOptions> = {}): Promise<PreparedRestore> {
  const host = { advertiseAddr: '10.0.0.9:2377', hostname: 'elsewhere', description, wanted: undefined };
  return prepareRestore(backup, { ...host, clock, random, asNew: false, ...over });
}

function inTable<O extends AnyObject>({ objects }: PreparedRestore, table: TableName): O[] {
  return objects.filter((entry) => entry.table === table).map(({ object }) => object as O);
}

t.test(
  'restore › the host takes the place of the manager with its address, and the other managers become workers',
  async (t) => {
    const backup = await backedUp();
    const restored = await restore(backup, { advertiseAddr: '10.0.0.2:2377' });
    t.match(restored.identity, { nodeId: 'host-2', role: 'manager', clusterId: backup.clusters[0]!.ClusterID });
    const root = new X509Certificate(backup.clusters[0]!.RootCA.Certificate);
    t.ok(new X509Certificate(restored.identity.certificatePem).verify(root.publicKey), 'signed by the old root');
    t.same(inTable(restored, 'cluster'), backup.clusters, 'the cluster is the same');
    t.same(inTable(restored, 'task'), backup.tasks);
    t.same(inTable(restored, 'service'), backup.services);
    const nodes = new Map(inTable<Node>(restored, 'node').map((node) => [node.ID, node]));
    t.equal(nodes.size, 4);
    t.match(nodes.get('host-2'), { Spec: { Role: 'manager' }, ManagerStatus: { Leader: true, Addr: '10.0.0.2:2377' } });
    const before = new Map(backup.nodes.map((node) => [node.ID, node]));
    for (const [id, node] of nodes) {
      if (id === 'host-2') continue;
      t.equal(node.Spec.Role, 'worker', id);
      t.notOk(node.ManagerStatus, id);
      const moved = before.get(id)!.Spec.Role === 'manager';
      t.equal(node.Version.Index, moved ? restored.index : before.get(id)!.Version.Index);
    }
    t.same(nodes.get('host-4'), before.get('host-4'), 'a worker is as it was');
    t.match(
      restored.report.Steps.join('\n'),
      /place of manager host-2.*\n[\s\S]*workers find this manager by themselves/,
    );
  },
);

t.test('restore › the place is chosen by address, then by name, then as told, and never guessed', async (t) => {
  const backup = await backedUp();
  const first = backup.nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader)!.ID;
  const ids = new Set(backup.nodes.map(({ ID }) => ID));
  const placeOf = async (over: Partial<RestoreOptions>): Promise<string> =>
    (await restore(backup, over)).identity.nodeId;
  t.equal(await placeOf({ hostname: 'host-1' }), first);
  t.equal(await placeOf({ hostname: 'host-1', advertiseAddr: '10.0.0.3:2377' }), 'host-3');
  t.equal(await placeOf({ wanted: 'host-3', advertiseAddr: '10.0.0.2:2377' }), 'host-3');
  t.equal(await placeOf({ wanted: '10.0.0.2:2377' }), 'host-2');
  t.notOk(ids.has(await placeOf({})), 'a host that nobody knows becomes a new node');
  t.notOk(ids.has(await placeOf({ hostname: 'host-4' })), 'a worker’s place is not taken');
  t.notOk(ids.has(await placeOf({ wanted: 'new', hostname: 'host-1' })));
  await t.rejects(placeOf({ wanted: 'host-4' }), { code: 'invalid-argument', message: /no manager.*host-2/ });
  const { report } = await restore(backup);
  t.match(
    report.Warnings.join('\n'),
    /workers \(host-4\) know their managers as .*10\.0\.0\.2:2377.*SWMTKN-1-.* 10\.0\.0\.9:2377/,
  );
});

t.test(
  'restore › a new cluster shares no key, token, ID or node with the old one, and starts its tasks anew',
  async (t) => {
    const backup = await backedUp();
    const restored = await restore(backup, { asNew: true, advertiseAddr: '10.0.0.2:2377' });
    const old = backup.clusters[0]!;
    const [cluster] = inTable<Cluster>(restored, 'cluster');
    t.not(cluster!.ClusterID, old.ClusterID);
    t.not(cluster!.RootCA.Key, old.RootCA.Key);
    t.not(cluster!.RootCA.Certificate, old.RootCA.Certificate);
    t.not(cluster!.JoinTokens.Worker, old.JoinTokens.Worker);
    t.not(cluster!.JoinTokens.Manager, old.JoinTokens.Manager);
    t.equal(cluster!.ID, CLUSTER_KEY);
    t.same(
      inTable<Node>(restored, 'node').map(({ ID }) => ID),
      [restored.identity.nodeId],
    );
    t.notOk(backup.nodes.some(({ ID }) => ID === restored.identity.nodeId));
    const services = inTable<Service>(restored, 'service');
    t.same(services.map(({ ID }) => ID).sort(), ['job', 'web'], 'what was being removed is gone');
    t.notOk(services.some(({ UpdateProgress }) => UpdateProgress));
    t.same(
      inTable<Task>(restored, 'task').map(({ ID }) => ID),
      ['job-1'],
      'a job does not run again what it has completed',
    );
    t.same(inTable(restored, 'secret'), backup.secrets);
    t.match(restored.report.Warnings.join('\n'), /wait until such nodes join: web[\s\S]*host-4 had labels: zone=a/);
  },
);

t.test('restore › a replacement of the data key that was under way is not gone on with', async (t) => {
  const backup = await backedUp();
  const DataKey = { ID: 'a', Next: { ID: 'b', Since: '', HeldBy: ['host-1'] } };
  const restored = await restore({ ...backup, clusters: backup.clusters.map((cluster) => ({ ...cluster, DataKey })) });
  t.same(inTable(restored, 'cluster'), backup.clusters, 'the new store has keys of its own');
});

t.test('restore › without the root key only a new cluster can be made', async (t) => {
  const backup = await backedUp();
  const [cluster] = backup.clusters;
  const without = { ...backup, clusters: [{ ...cluster!, RootCA: { ...cluster!.RootCA, Key: '' } }] };
  await t.rejects(restore(without), { code: 'failed-precondition', message: /--as-new/ });
  await t.resolves(restore(without, { asNew: true }));
  await t.rejects(restore({ ...backup, clusters: [] }), { code: 'damaged' });
});

t.test('restore › the index goes on above all that the lost history can have reached', async (t) => {
  const day = 24 * 3_600_000;
  t.ok(restoredIndex(10, 0, 0) >= 10 + 1_000_000);
  t.ok(restoredIndex(10, 0, day) >= 10 + day * 10);
  t.ok(restoredIndex(10, day, 0) > 10, 'a clock that was set back does no harm');
  t.equal(restoredIndex(0, 0, 1e15), 2 ** 40);
});
