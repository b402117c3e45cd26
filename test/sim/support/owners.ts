import { isDeepStrictEqual } from 'node:util';
import { type AnyObject, isTerminal, type Store, type TableName, type TaskState, type WriteTx } from '@swarmd/model';

/** Those who write into the store. */
export type Writer =
  | 'control'
  | 'orchestrator'
  | 'allocator'
  | 'scheduler'
  | 'enforcer'
  | 'reaper'
  | 'dispatcher'
  | 'node-loop';

interface Rights {
  create?: readonly TableName[];
  delete?: readonly TableName[];
  /** Top-level fields that may change, by table. */
  change?: Partial<Record<TableName, readonly string[]>>;
  /** Which observed states of a task the writer may set, and from which. */
  taskState?: (before: TaskState, after: TaskState) => boolean;
}

const SPECS = ['Spec', 'SpecVersion', 'PreviousSpec', 'PreviousSpecVersion', 'RegistryAuth', 'PreviousRegistryAuth'];
const orphans = (_: TaskState, after: TaskState): boolean => after === 'orphaned';
const waits = (state: TaskState): boolean => state === 'pending';

/** One writer per field, as docs/ownership.md has it. */
const RIGHTS: Readonly<Record<Writer, Rights>> = {
  control: {
    create: ['service', 'spec', 'node', 'secret', 'config', 'network'],
    delete: ['node', 'secret', 'config', 'network'],
    change: {
      // Control takes a status away when a new spec makes it meaningless, and begins a rollback that users ask for.
      service: [...SPECS, 'PendingDelete', 'JobStatus', 'UpdateStatus', 'UpdateProgress'],
      spec: ['RegistryAuth'],
      node: ['Spec', 'Description'],
      cluster: ['Spec', 'RemovedNodes'],
      task: ['Status'],
    },
    taskState: orphans,
  },
  orchestrator: {
    create: ['task', 'spec'],
    change: { task: ['DesiredState'], service: [...SPECS, 'UpdateStatus', 'UpdateProgress'] },
  },
  allocator: {
    create: ['network'],
    change: {
      cluster: ['IngressMade'],
      network: ['Allocation'],
      node: ['AddressBlocks'],
      service: ['Endpoint'],
      task: ['Endpoint', 'NetworksAttachments', 'Status'],
    },
    taskState: (before, after) => before === 'new' && (after === 'new' || after === 'pending'),
  },
  scheduler: {
    change: { task: ['NodeID', 'AssignedGenericResources', 'Status'] },
    taskState: (before, after) => waits(before) && (waits(after) || after === 'assigned' || after === 'shutdown'),
  },
  enforcer: { change: { task: ['RejectedAt'] } },
  reaper: { delete: ['task', 'spec', 'service'] },
  dispatcher: {
    change: {
      task: ['Status'],
      node: [
        'Status',
        'Session',
        'DownSince',
        'CertificateRole',
        'Certificate',
        'Description',
        'SwarmdVersion',
        'ManagerStatus',
        'DataPath',
        'Attachments',
      ],
    },
    taskState: (before) => before !== 'new' && !waits(before),
  },
  'node-loop': { change: { task: ['Status'], cluster: ['RemovedNodes'] }, taskState: orphans },
};

const STAMPS = new Set(['Version', 'CreatedAt', 'UpdatedAt']);

/** `store` as `writer` sees it; `report` hears of every write that is another's to make. */
export function ownedStore(store: Store, writer: Writer, report: (problem: string) => void): Store {
  const rights = RIGHTS[writer];
  const blame = (what: string): void => report(`${writer} ${what}`);
  return {
    get view() {
      return store.view;
    },
    get index() {
      return store.index;
    },
    update: (fn) => store.update((tx) => fn(ownedTx(tx, rights, blame))),
    watch: (onCommit) => store.watch(onCommit),
    waitFor: (index, signal) => store.waitFor(index, signal),
    advance: (index) => store.advance(index),
    close: () => store.close(),
  };
}

function ownedTx(tx: WriteTx, rights: Rights, blame: (what: string) => void): WriteTx {
  return {
    index: tx.index,
    now: tx.now,
    get: (table, id) => tx.get(table, id),
    all: (table) => tx.all(table),
    count: (table) => tx.count(table),
    find: (table, index, key) => tx.find(table, index, key),
    create: (table, object) => {
      if (!rights.create?.includes(table)) blame(`created ${table} ${(object as { ID: string }).ID}`);
      return tx.create(table, object);
    },
    put: (table, object) => {
      const before = tx.get(table, object.ID);
      if (before !== undefined) judge(rights, table, before, object, blame);
      return tx.put(table, object);
    },
    delete: (table, id) => {
      if (!rights.delete?.includes(table)) blame(`deleted ${table} ${id}`);
      return tx.delete(table, id);
    },
  };
}

function judge(
  rights: Rights,
  table: TableName,
  before: AnyObject,
  after: AnyObject,
  blame: (w: string) => void,
): void {
  const allowed = rights.change?.[table] ?? [];
  const [old, next] = [before, after] as unknown as Record<string, unknown>[];
  for (const field of new Set([...Object.keys(old!), ...Object.keys(next!)])) {
    if (STAMPS.has(field) || allowed.includes(field) || isDeepStrictEqual(old![field], next![field])) continue;
    blame(`wrote ${table}.${field} of ${after.ID}`);
  }
  if (!('DesiredState' in before) || !('DesiredState' in after)) return;
  const [from, to] = [before.Status.State, after.Status.State];
  if (before.Status === after.Status) return;
  if (isTerminal(from) && from !== to && !isTerminal(to)) blame(`brought task ${after.ID} back from ${from} to ${to}`);
  if (rights.taskState?.(from, to) === false) blame(`moved task ${after.ID} from ${from} to ${to}`);
}
