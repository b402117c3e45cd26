import type { PortConfig } from '@swarmd/model';

/**
 * Publishes ingress ports on this node until there is a routing mesh: which of a task's ingress ports its own container
 * publishes. An engine binds a port for one container at a time.
 */
export interface IngressPublisher {
  /** The ports that the task's container is to publish, given that it is about to be made. */
  claim(taskId: string, ports: readonly PortConfig[]): PortConfig[];
  /** The task stops or has ended: whoever is made next may publish its ports. */
  release(taskId: string): void;
}

/** An {@link IngressPublisher} by which the first task on a node publishes a port and its neighbours do without. */
export function createIngressPublisher(): IngressPublisher {
  const holders = new Map<string, string>();
  return {
    claim(taskId, ports) {
      return ports.filter((port) => {
        const key = `${port.Protocol ?? 'tcp'}/${port.PublishedPort}`;
        const holder = holders.get(key) ?? taskId;
        holders.set(key, holder);
        return holder === taskId;
      });
    },
    release(taskId) {
      for (const [key, holder] of holders) if (holder === taskId) holders.delete(key);
    },
  };
}
