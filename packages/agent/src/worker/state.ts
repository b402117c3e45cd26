import { type NodeDescription, specKey, type TaskStatus } from '@swarmd/model';
import type { ManagerPeer } from '@swarmd/wire';
import type { AssignedNetwork, AssignedSpec, Assignment } from '../task/assignment.js';
import type { AssignmentSet } from './assignment-set.js';
import type { Journal } from './journal.js';

/** What the agent remembers of itself across restarts. Secrets, configs and registry credentials are not among it. */
export interface RememberedTask {
  assignment: Assignment;
  status: TaskStatus;
}

/** The agent's memory on disk, on top of a {@link Journal}. */
export interface AgentState {
  /** Highest store index that this node has seen. */
  seenIndex(): number;
  sawIndex(index: number): void;
  managers(): ManagerPeer[];
  setManagers(managers: readonly ManagerPeer[]): void;
  description(): NodeDescription | undefined;
  setDescription(description: NodeDescription): void;
  /** The address with which this node took part in overlays last; empty if it did not. */
  tookPartAt(): string;
  setTookPartAt(addr: string): void;
  tasks(): RememberedTask[];
  specs(): AssignedSpec[];
  networks(): AssignedNetwork[];
  setTask(task: RememberedTask): void;
  forgetTask(id: string): void;
  /** Keeps the specs and networks of `set` and of the tasks that are still here, and forgets the others. */
  setShared(set: AssignmentSet, usedSpecs: ReadonlySet<string>): void;
  /** Forgets everything: this node leaves. */
  clear(): void;
  flush(): Promise<void>;
}

/** The memory of node `nodeId` in cluster `clusterId`; that of another node or cluster is dropped. */
export function createAgentState(journal: Journal, nodeId: string, clusterId: string): AgentState {
  const owner = JSON.stringify([clusterId, nodeId]);
  if (journal.get('owner') !== owner) {
    // Managers belong to the cluster, and are what finds it.
    journal.clear();
    journal.put('owner', owner);
  }
  const values = <T>(prefix: string) => journal.entries(prefix).map(([, value]) => value as T);
  const putIfNew = (key: string, value: unknown) => {
    if (JSON.stringify(journal.get(key)) !== JSON.stringify(value)) journal.put(key, value);
  };
  return {
    seenIndex: () => (journal.get('seen-index') as number | undefined) ?? 0,
    sawIndex: (index) => {
      if (index > ((journal.get('seen-index') as number | undefined) ?? 0)) journal.put('seen-index', index);
    },
    managers: () => (journal.get('managers') as ManagerPeer[] | undefined) ?? [],
    setManagers: (managers) => putIfNew('managers', managers),
    description: () => journal.get('description') as NodeDescription | undefined,
    setDescription: (description) => putIfNew('description', description),
    tookPartAt: () => (journal.get('took-part-at') as string | undefined) ?? '',
    setTookPartAt: (addr) => putIfNew('took-part-at', addr),
    tasks: () => values<RememberedTask>('task/'),
    specs: () => values<Omit<AssignedSpec, 'registryAuth'>>('spec/').map((spec) => ({ ...spec, registryAuth: '' })),
    networks: () =>
      // Earlier versions kept no ranges.
      values<Omit<AssignedNetwork, 'addressBlocks'>>('network/').map((network) => ({ addressBlocks: [], ...network })),
    setTask: (task) => journal.put(`task/${task.assignment.id}`, task),
    forgetTask: (id) => journal.delete(`task/${id}`),
    setShared(set, usedSpecs) {
      for (const { serviceId, specVersion, spec } of set.specs.values()) {
        const key = `spec/${specKey(serviceId, specVersion)}`;
        // Spec versions are immutable.
        if (journal.get(key) === undefined) journal.put(key, { serviceId, specVersion, spec });
      }
      for (const network of set.networks.values()) putIfNew(`network/${network.id}`, network);
      for (const [key] of journal.entries('spec/')) {
        const name = key.slice('spec/'.length);
        if (!set.specs.has(name) && !usedSpecs.has(name)) journal.delete(key);
      }
      for (const [key] of journal.entries('network/')) {
        if (!set.networks.has(key.slice('network/'.length))) journal.delete(key);
      }
    },
    clear: () => journal.clear(),
    flush: () => journal.flush(),
  };
}
