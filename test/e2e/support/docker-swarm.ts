import { createLab, type Host, type Lab, type LabOptions } from '@swarmd/testkit';
import { waitFor } from './wait.js';

/** Docker Swarm's own port, for a lab in which nothing else uses it. */
const DEFAULT_PORT = 2377;

/** Test hosts whose own engines form a real Docker Swarm: what swarmd is compared with. */
export interface DockerSwarm extends AsyncDisposable {
  readonly lab: Lab;
  readonly hosts: readonly Host[];
  /** Runs the docker CLI against a host's engine; rejects unless it returns 0. */
  docker(host: Host, ...args: string[]): Promise<string>;
  /** First host becomes the manager, the others join as workers; waits until all are ready. */
  form(): Promise<void>;
}

/** Makes hosts with plain engines. `form` makes a Docker Swarm of them; disposing it takes everything down. */
export async function createDockerSwarm(options: LabOptions): Promise<DockerSwarm> {
  const lab = await createLab(options);
  return {
    lab,
    hosts: lab.hosts,
    docker: dockerOn,
    form: () => formDockerSwarm(lab.hosts),
    [Symbol.asyncDispose]: () => lab.destroy(),
  };
}

/**
 * Makes a Docker Swarm of engines that are in none: the first one manages. Its port is `port` on every host, so that
 * it can live beside a swarmd on 2377; `dataPathPort` is where its VXLAN packets go, 4789 unless told.
 */
export async function formDockerSwarm(
  hosts: readonly Host[],
  port: number = DEFAULT_PORT,
  dataPathPort = 4789,
): Promise<void> {
  const [manager, ...workers] = hosts;
  if (manager === undefined) throw new Error('a swarm needs a host');
  const address = (host: Host): string => `${host.ip}:${port}`;
  const addresses = ['--listen-addr', address(manager), '--advertise-addr', address(manager)];
  await dockerOn(manager, 'swarm', 'init', ...addresses, '--data-path-port', String(dataPathPort));
  const token = (await dockerOn(manager, 'swarm', 'join-token', '-q', 'worker')).trim();
  for (const host of workers) {
    await dockerOn(host, 'swarm', 'join', '--listen-addr', address(host), '--token', token, address(manager));
  }
  await waitFor('all nodes of the Docker Swarm are ready', async () => {
    const nodes = await dockerOn(manager, 'node', 'ls', '--format', '{{.Hostname}} {{.Status}}');
    return hosts.every((host) => nodes.includes(`${host.name} Ready`));
  });
}

function dockerOn(host: Host, ...args: string[]): Promise<string> {
  return host.run(['docker', '-H', 'unix:///run/docker.sock', ...args], { timeoutMs: 120_000 });
}
