import type { Clock, PortConfig } from '@swarmd/model';
import type { Logger } from 'pino';
import { forwardPort, type PortForwarder } from './port-forwarder.js';

/**
 * Publishes ingress ports on this node until there is a routing mesh: on nodes that run a task. An engine binds a port
 * for one container at a time, and only when that starts.
 */
export interface IngressPublisher {
  /** The ports that the task's own container is to publish, given that it is about to be made. */
  claim(taskId: string, ports: readonly PortConfig[]): PortConfig[];
  /** The task's container runs at `address`, wants `ports` to lead to it and publishes `bound` itself. */
  running(taskId: string, address: string, ports: readonly PortConfig[], bound: readonly PortConfig[]): void;
  /** The task is told to stop: nothing leads to it any more, and whoever is made next may publish its ports. */
  vacate(taskId: string): void;
  /** Resolves once the engine has no container left that vacates a port which `taskId` has claimed: it may start. */
  vacated(taskId: string): Promise<void>;
  /** The task has ended. */
  release(taskId: string): void;
  /** Ends all that this process does itself; what containers publish stays. */
  close(): void;
}

/** How long a task waits for the one before it to let go of a port. */
const VACATED_TIMEOUT_MS = 30_000;

/** What runs behind the published ports of this node. */
interface RunningTask {
  address: string;
  ports: readonly PortConfig[];
}

/**
 * An {@link IngressPublisher} by which the first task on a node publishes a port and its neighbours do without. When
 * that one goes and neighbours stay (start-first updates, scaling down), swarmd itself passes TCP connections on to
 * them until the next container publishes the port.
 */
export function createIngressPublisher(deps: { clock: Clock; logger: Logger; host?: string }): IngressPublisher {
  const holders = new Map<string, string>();
  const running = new Map<string, RunningTask>();
  const forwarders = new Map<string, PortForwarder>();
  /** Tasks whose containers still have a port at the engine although it is given away, by port. */
  const leaving = new Map<string, Set<string>>();
  const waiting = new Set<{ taskId: string; resolve: () => void }>();

  const isVacated = (taskId: string): boolean =>
    [...holders].every(([key, holder]) => holder !== taskId || !leaving.has(key));
  const giveUp = (taskId: string): string[] => {
    running.delete(taskId);
    const keys = [...holders].filter(([, holder]) => holder === taskId).map(([key]) => key);
    for (const key of keys) holders.delete(key);
    return keys;
  };

  const wake = (): void => {
    for (const waiter of [...waiting]) {
      if (!isVacated(waiter.taskId)) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  };
  const settle = (): void => {
    const wanted = new Map<string, { port: number; backends: { address: string; port: number }[] }>();
    for (const { address, ports } of running.values()) {
      for (const port of ports) {
        const key = keyOf(port);
        if (holders.has(key) || !key.startsWith('tcp/') || address === '') continue;
        const entry = wanted.get(key) ?? { port: port.PublishedPort ?? 0, backends: [] };
        entry.backends.push({ address, port: port.TargetPort ?? 0 });
        wanted.set(key, entry);
      }
    }
    for (const [key, forwarder] of forwarders) {
      if (wanted.has(key)) continue;
      forwarder.close();
      forwarders.delete(key);
    }
    for (const [key, { port, backends }] of wanted) {
      const forwarder = forwarders.get(key) ?? forwardPort(port, deps);
      forwarder.setBackends(backends);
      forwarders.set(key, forwarder);
    }
  };

  return {
    claim(taskId, ports) {
      const mine = ports.filter((port) => {
        const holder = holders.get(keyOf(port)) ?? taskId;
        holders.set(keyOf(port), holder);
        return holder === taskId;
      });
      settle();
      return mine;
    },
    running(taskId, address, ports, bound) {
      running.set(taskId, { address, ports });
      // After a restart of swarmd this is how it learns who publishes what.
      for (const port of bound) if (!holders.has(keyOf(port))) holders.set(keyOf(port), taskId);
      settle();
    },
    vacate(taskId) {
      for (const key of giveUp(taskId)) leaving.set(key, (leaving.get(key) ?? new Set()).add(taskId));
      settle();
    },
    vacated: (taskId) =>
      new Promise((resolve) => {
        const waiter = { taskId, resolve };
        waiting.add(waiter);
        // A container that hangs must not keep others from trying.
        deps.clock.after(VACATED_TIMEOUT_MS, () => waiting.delete(waiter) && resolve());
        wake();
      }),
    release(taskId) {
      giveUp(taskId);
      for (const [key, tasks] of leaving) if (tasks.delete(taskId) && tasks.size === 0) leaving.delete(key);
      wake();
      settle();
    },
    close() {
      running.clear();
      settle();
    },
  };
}

function keyOf(port: PortConfig): string {
  return `${port.Protocol ?? 'tcp'}/${port.PublishedPort}`;
}
