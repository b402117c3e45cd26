import {
  CLUSTER_KEY,
  type Control,
  type LogsOptions,
  type NewObject,
  type Node,
  rfc3339,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, type ManualClock, manualClock, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';
import { type ControlDependencies, createControl, type LogSource } from '../src/control/index.js';

/** A control on a store in memory, with a cluster object and one manager. */
export interface ControlCluster {
  control: Control;
  store: Store;
  clock: ManualClock;
  /** What was last asked of the log source. */
  subscribed: { selector: unknown; options: LogsOptions }[];
}

/** Builds a {@link ControlCluster}; `nodes` are added to the manager `m1`. */
export async function controlCluster(
  nodes: NewObject<Node>[] = [],
  over: Partial<ControlDependencies> = {},
): Promise<ControlCluster> {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  await store.update((tx) => {
    tx.create('cluster', {
      ID: CLUSTER_KEY,
      ClusterID: '7ocifb3gti7163al6bbnlmokj',
      Spec: { Name: 'default', Labels: {}, CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 } },
      RootCA: { Certificate: '', Key: 'secret key' },
      JoinTokens: { Worker: 'SWMTKN-1-worker', Manager: 'SWMTKN-1-manager' },
      DefaultAddrPool: [],
      SubnetSize: 24,
      DataPathPort: 4789,
      RemovedNodes: { long: { Expiry: rfc3339(0) } },
    });
    tx.create('node', buildNode('m1', { Spec: { Role: 'manager', Availability: 'active', Labels: {} } }));
    for (const node of nodes) tx.create('node', node);
  });
  const subscribed: ControlCluster['subscribed'] = [];
  const logSource: LogSource = {
    async *subscribe(selector, options) {
      subscribed.push({ selector, options });
      const data = new TextEncoder().encode('line\n');
      yield { taskId: 't', serviceId: 's', nodeId: 'n', stream: 1, timestamp: rfc3339(0), data };
    },
  };
  const control = createControl({
    refuseManager: async () => undefined,
    store,
    clock,
    random: seededRandom(7),
    logger: pino({ level: 'silent' }),
    logSource,
    explain: (_view, ServiceID) => ({ ServiceID, ServiceName: '', Tasks: [] }),
    tokens: { rotateJoinToken: (kind) => `SWMTKN-1-fresh-${kind}` },
    ...over,
  });
  return { control, store, clock, subscribed };
}

/** Code and API message of the `SwarmdError` that `action` rejects with; fails when it resolves. */
export async function refusal(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (thrown) {
    if (thrown instanceof SwarmdError) return `${thrown.code}: ${thrown.apiMessage}`;
    throw thrown;
  }
  return 'not refused';
}

/** The body of the smallest service that control accepts. */
export function serviceBody(Name: string, over: Record<string, unknown> = {}): Record<string, unknown> {
  return { Name, TaskTemplate: { ContainerSpec: { Image: 'nginx:latest' } }, ...over };
}
