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
  /** The task stops or has ended: nothing leads to it any more, and whoever is made next may publish its ports. */
  release(taskId: string): void;
  /** Ends all that this process does itself; what containers publish stays. */
  close(): void;
}

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
    release(taskId) {
      running.delete(taskId);
      for (const [key, holder] of holders) if (holder === taskId) holders.delete(key);
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
