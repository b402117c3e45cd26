import {
  CLUSTER_KEY,
  type Config,
  type Network,
  type NewObject,
  type Node,
  type Secret,
  type Service,
  type ServiceSpec,
  type Store,
  specKey,
  type TableName,
  type Task,
  type WriteTx,
} from '@swarmd/model';

type Json = Record<string, unknown>;
/** Versions of task templates that are not the service's present one; far from those that the store gives. */
const OLD_SPEC_VERSION = 1_000_000;

/**
 * Puts into the store what a recorded answer showed, so that the same request must give the same answer. A list
 * replaces all objects of its kind.
 */
export async function seed(store: Store, path: string, query: URLSearchParams, body: unknown): Promise<void> {
  const [, kind = '', id] = path.split('/');
  const objects = (Array.isArray(body) ? body : [body]).filter((o): o is Json => typeof o === 'object' && o !== null);
  await store.update((tx) => {
    if (!id && TABLES[kind]) clear(tx, TABLES[kind], objects);
    for (const object of objects) SEEDERS[kind]?.(tx, object, query);
  });
}

const TABLES: Readonly<Record<string, TableName>> = {
  services: 'service',
  tasks: 'task',
  nodes: 'node',
  secrets: 'secret',
  configs: 'config',
  networks: 'network',
};

function clear(tx: WriteTx, table: TableName, keep: Json[]): void {
  const kept = new Set(keep.map((object) => object['ID'] ?? object['Id']));
  for (const object of [...tx.all(table)]) if (!kept.has(object.ID)) tx.delete(table, object.ID);
}

function upsert<T extends 'service' | 'node' | 'secret' | 'config' | 'network' | 'task' | 'cluster'>(
  tx: WriteTx,
  table: T,
  object: { ID: string },
): void {
  const present = tx.get(table, object.ID);
  if (present === undefined) tx.create(table, object as never);
  else tx.put(table, { Version: present.Version, CreatedAt: present.CreatedAt, ...object } as never);
}

const SEEDERS: Readonly<Record<string, (tx: WriteTx, object: Json, query: URLSearchParams) => void>> = {
  services: (tx, object) => {
    const { Version: _1, CreatedAt: _2, UpdatedAt: _3, ServiceStatus, JobStatus, ...rest } = object;
    const service = rest as unknown as NewObject<Service>;
    const job = JobStatus as { LastExecution: string } | undefined;
    const status = job ? { JobStatus: { JobIteration: { Index: 0 }, ...job, ...iteration(job) } } : {};
    upsert(tx, 'service', { ...service, SpecVersion: tx.index, PreviousSpecVersion: 1, ...status } as Service);
    addSpec(tx, service.ID, tx.index, service.Spec);
    if (ServiceStatus) addCounted(tx, service.ID, ServiceStatus as Counts);
  },
  tasks: (tx, object, query) => {
    const { Version: _1, CreatedAt: _2, UpdatedAt: _3, Spec, JobIteration, ...rest } = object;
    const task = rest as unknown as Task;
    const service = tx.get('service', task.ServiceID);
    const wanted = Object.keys((JSON.parse(query.get('filters') ?? '{}') as { label?: object }).label ?? {});
    const Labels = Object.fromEntries(wanted.map((label) => label.split('=') as [string, string]));
    const SpecVersion =
      query.get('filters')?.includes('_up-to-date') && service ? service.SpecVersion : OLD_SPEC_VERSION;
    const TaskTemplate = { ...(Spec as object), Runtime: 'container' };
    const ownVersion = SpecVersion + (SpecVersion === OLD_SPEC_VERSION ? tx.count('spec') : 0);
    addSpec(tx, task.ServiceID, ownVersion, { Name: service?.Spec.Name ?? '', Labels, TaskTemplate });
    const job = JobIteration ? { JobIteration: { Index: 0, ...(JobIteration as object) } } : {};
    const defaults = { NodeID: '', Slot: 0, ServiceName: service?.Spec.Name ?? '' };
    upsert(tx, 'task', { ...defaults, ...task, Labels, SpecVersion: ownVersion, ...job } as Task);
    for (const attachment of task.NetworksAttachments ?? []) seedAttached(tx, attachment.Network as unknown as Json);
  },
  nodes: (tx, object) => upsert(tx, 'node', unstamped(object) as unknown as Node),
  secrets: (tx, object) => {
    const secret = unstamped(object) as unknown as Secret;
    upsert(tx, 'secret', { ...secret, Spec: { ...secret.Spec, Data: 'c2VjcmV0' } } as Secret);
  },
  configs: (tx, object) => upsert(tx, 'config', unstamped(object) as unknown as Config),
  networks: (tx, object) => {
    if (object['Scope'] !== 'swarm') return;
    const { Name, Driver, EnableIPv6, IPAM, Internal, Attachable, Ingress, Options, Labels } = object;
    const Spec = { Name, Driver, EnableIPv6, IPAM, Internal, Attachable, Ingress, Options, Labels };
    upsert(tx, 'network', { ID: String(object['Id']), Spec } as Network);
  },
  swarm: (tx, object) => {
    if (!object['TLSInfo']) return;
    const { Spec, TLSInfo, JoinTokens, DefaultAddrPool, SubnetSize, DataPathPort } = object;
    const RootCA = { Certificate: (TLSInfo as { TrustRoot: string }).TrustRoot, Key: '' };
    const rest = { Spec, RootCA, JoinTokens, SubnetSize, DataPathPort, RemovedNodes: {} };
    const pool = (DefaultAddrPool ?? []) as string[];
    upsert(tx, 'cluster', { ID: CLUSTER_KEY, ClusterID: object['ID'], DefaultAddrPool: pool, ...rest } as never);
  },
};

interface Counts {
  RunningTasks: number;
  CompletedTasks: number;
}

/** Tasks that add up to a recorded status. */
function addCounted(tx: WriteTx, ServiceID: string, { RunningTasks, CompletedTasks }: Counts): void {
  for (let at = 0; at < RunningTasks + CompletedTasks; at++) {
    const State = at < RunningTasks ? 'running' : 'complete';
    const DesiredState = 'shutdown';
    const Status = { Timestamp: tx.now, State, Message: '' } as const;
    const fields = {
      ID: `${ServiceID}-${at}`,
      ServiceID,
      ServiceName: '',
      SpecVersion: tx.index,
      Slot: at,
      NodeID: '',
    };
    upsert(tx, 'task', { ...fields, DesiredState, Status } as Task);
  }
}

function iteration(job: Json | { JobIteration?: object }): Json {
  return { JobIteration: { Index: 0, ...(job as { JobIteration?: object }).JobIteration } };
}

function unstamped({ Version: _1, CreatedAt: _2, UpdatedAt: _3, ...rest }: Json): Json {
  return rest;
}

function addSpec(tx: WriteTx, serviceId: string, version: number, spec: ServiceSpec): void {
  const ID = specKey(serviceId, version);
  if (tx.get('spec', ID) !== undefined) return;
  tx.create('spec', { ID, ServiceID: serviceId, SpecVersion: version, Spec: spec });
}

function seedAttached(tx: WriteTx, network: Json): void {
  const spec = network['Spec'] as Json;
  const ipam = network['IPAMOptions'] as { Driver: { Name: string }; Configs: object[] };
  const driver = spec['DriverConfiguration'] as { Name?: string; Options?: Record<string, string> };
  const Spec = {
    Name: String(spec['Name']),
    Labels: spec['Labels'],
    ...(driver.Name ? { Driver: driver.Name } : {}),
    ...(driver.Options ? { Options: driver.Options } : {}),
    Attachable: spec['Attachable'],
    Ingress: spec['Ingress'],
    IPAM: { Driver: ipam.Driver.Name, Config: ipam.Configs },
  };
  upsert(tx, 'network', { ID: String(network['ID']), Spec } as Network);
}
