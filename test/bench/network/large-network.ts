import type { NetworkEndpoint, NetworkService } from '@swarmd/model';

/** A running task in the lower half of the subnet `<prefix>.0.0/16`; `task` is below 32,000. */
export function endpointAt(prefix: string, task: number, service: number, nodeAddr: string): NetworkEndpoint {
  const addresses = [hostAddress(prefix, 16 + task)];
  return { id: `task${task}`, serviceId: `service${service}`, nodeAddr, addresses, phase: 'ready', names: [] };
}

/** A service with a virtual IP in the upper half of it. */
export function serviceAt(prefix: string, service: number): NetworkService {
  const virtualIps = [hostAddress(prefix, 2 ** 15 + service)];
  return { id: `service${service}`, name: `service${service}`, aliases: [], virtualIps };
}

/** Milliseconds until what `work` returns has resolved. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function hostAddress(prefix: string, n: number): string {
  return `${prefix}.${n >> 8}.${n & 255}`;
}
