import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callEngine, type Host } from '@swarmd/testkit';
import { type Cluster, SWARMD_SOCKET } from '../../e2e/support/cluster.js';
import { containersOn } from '../../e2e/support/observe.js';
import { waitFor } from '../../e2e/support/wait.js';

const tests = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** Programs that run in containers, at the same path inside. */
export const echoServer = join(tests, 'e2e', 'fixtures', 'echo-server.mjs');
export const prober = join(tests, 'bench', 'network', 'prober.mjs');

/** The machine's programs, for containers. */
const folders = ['/usr', '/lib', '/lib64', dirname(echoServer), dirname(prober)];

/** A task as both systems show it. */
export interface OverlayTask {
  DesiredState: string;
  Status: { Timestamp: string; State: string; Err?: string; ContainerStatus?: { ContainerID?: string } };
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

/** A service as both systems show it. */
interface OverlayService {
  ID: string;
  Version: { Index: number };
  Spec: { Mode: object };
  Endpoint?: { VirtualIPs?: { NetworkID: string; Addr: string }[] };
}

/** What a service of a benchmark is. */
export interface ServiceOptions {
  command: readonly string[];
  /** Number of tasks, or one a node. */
  replicas: number | 'global';
  /** Host name; anywhere when absent. */
  on?: string;
  /** Published on every node: published port → the task's. */
  publish?: Readonly<Record<number, number>>;
}

/** One of the systems, with an overlay network on all hosts that plain containers may join. */
export interface Overlay {
  readonly name: 'swarmd' | 'swarm';
  /** Name of the network, on every engine. */
  readonly network: string;
  /** Whether services have virtual IPs: Docker Swarm's need IP_VS, which this kernel may lack. */
  readonly virtualIps: boolean;
  create(name: string, options: ServiceOptions): Promise<void>;
  scale(name: string, replicas: number): Promise<void>;
  remove(name: string): Promise<void>;
  /** A service's tasks that are to run. */
  tasks(name: string): Promise<OverlayTask[]>;
  /** Waits until as many of them run. */
  running(name: string, count: number): Promise<OverlayTask[]>;
  /** A task's address on the network; undefined before it has one. */
  addressOf(task: OverlayTask): string | undefined;
  /** A service's virtual IP on the network. */
  virtualIp(name: string): Promise<string>;
  /** ID of the one container of a service on a host. */
  container(host: Host, name: string): Promise<string>;
}

/** swarmd of a cluster that is formed. */
export function swarmdOverlay({ hosts }: Cluster): Promise<Overlay> {
  return createOverlay('swarmd', hosts[0]!.path(SWARMD_SOCKET), true);
}

/**
 * The Docker Swarm of the hosts' own engines; the first one manages. Its ingress network goes: an engine has room for one
 * of that name, which is to be swarmd's.
 */
export async function swarmOverlay({ hosts }: Cluster): Promise<Overlay> {
  await callEngine(hosts[0]!.engineSocket, { method: 'DELETE', path: '/networks/ingress' });
  await waitFor('no engine has the ingress network of Docker Swarm', async () => {
    const lists = await Promise.all(
      hosts.map((host) => host.run(['docker', 'network', 'ls', '--format', '{{.Name}}'])),
    );
    return lists.every((list) => !list.split('\n').includes('ingress'));
  });
  return createOverlay('swarm', hosts[0]!.engineSocket, false);
}

async function createOverlay(name: Overlay['name'], socket: string, virtualIps: boolean): Promise<Overlay> {
  const network = `bench-${name}`;
  const call = async <T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T> => {
    const text = await callEngine(socket, { method, path, ...(body ? { body } : {}) });
    return (text.trim() === '' ? undefined : JSON.parse(text)) as T;
  };
  const made = { Name: network, Driver: 'overlay', Attachable: true, CheckDuplicate: true };
  const { Id } = await call<{ Id: string }>('POST', '/networks/create', made);
  const service = (id: string): Promise<OverlayService> => call('GET', `/services/${id}`);
  const tasks = (id: string): Promise<OverlayTask[]> => {
    const filters = JSON.stringify({ service: [id], 'desired-state': ['running'] });
    return call('GET', `/tasks?${new URLSearchParams({ filters })}`);
  };
  return {
    ...{ name, network, virtualIps, tasks },
    create: (id, options) => call('POST', '/services/create', specOf(id, network, virtualIps, options)),
    async scale(id, replicas) {
      const { ID, Version, Spec } = await service(id);
      const spec = { ...Spec, Mode: { Replicated: { Replicas: replicas } } };
      await call('POST', `/services/${ID}/update?version=${Version.Index}`, spec);
    },
    remove: (id) => call('DELETE', `/services/${id}`),
    async running(id, count) {
      let found: OverlayTask[] = [];
      const ready = async (): Promise<boolean> => {
        found = await tasks(id);
        return found.length === count && found.every(({ Status }) => Status.State === 'running');
      };
      const describe = async (): Promise<string> => {
        const all = await call<OverlayTask[]>(
          'GET',
          `/tasks?${new URLSearchParams({ filters: JSON.stringify({ service: [id] }) })}`,
        );
        return all.map(({ DesiredState, Status }) => `${DesiredState} ${JSON.stringify(Status)}`).join('\n');
      };
      await waitFor(`${count} tasks of ${id} run in ${name}`, ready, { describe, timeoutMs: 60_000 });
      return found;
    },
    addressOf(task) {
      const attached = task.NetworksAttachments?.find(({ Network }) => Network.Spec.Name === network);
      return attached?.Addresses[0]?.split('/')[0];
    },
    async virtualIp(id) {
      let found: string | undefined;
      await waitFor(`${id} has a virtual IP on ${network}`, async () => {
        const { VirtualIPs = [] } = (await service(id)).Endpoint ?? {};
        found = VirtualIPs.find(({ NetworkID, Addr }) => NetworkID === Id && Addr !== '')?.Addr.split('/')[0];
        return found !== undefined;
      });
      return found!;
    },
    async container(host, id) {
      const found = (await containersOn(host, id)).filter(({ State }) => State === 'running');
      if (found.length !== 1) throw new Error(`${found.length} containers of ${id} run on ${host.name}`);
      return found[0]!.Id;
    },
  };
}

function specOf(name: string, network: string, virtualIps: boolean, options: ServiceOptions): object {
  const { command, replicas, on, publish = {} } = options;
  const Mounts = folders.map((folder) => ({ Type: 'bind', Source: folder, Target: folder, ReadOnly: true }));
  const Ports = Object.entries(publish).map(([published, target]) => ({
    ...{ Protocol: 'tcp', PublishMode: 'ingress' },
    ...{ PublishedPort: Number(published), TargetPort: target },
  }));
  return {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: 'busybox:latest', Command: command, Mounts, Init: true, StopGracePeriod: 1_000_000_000 },
      Networks: [{ Target: network }],
      Placement: on === undefined ? {} : { Constraints: [`node.hostname==${on}`] },
    },
    Mode: replicas === 'global' ? { Global: {} } : { Replicated: { Replicas: replicas } },
    EndpointSpec: { Mode: virtualIps ? 'vip' : 'dnsrr', ...(Ports.length > 0 ? { Ports } : {}) },
  };
}
