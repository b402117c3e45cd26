import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, isIP, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataPathConfig, NetworkEndpoint, NetworkService, NodeNetwork } from '@swarmd/model';
import { pino } from 'pino';
import { macAddressOf } from '../src/kernel/addresses.js';
import { type Commands, createCommands } from '../src/kernel/commands.js';
import { createNamespaces, type KernelNamespaces } from '../src/kernel/namespaces.js';
import { createNetworkPlane } from '../src/kernel/plane.js';
import type { LocalPort, NetworkMembers, NetworkPlane } from '../src/parts.js';

const patienceMs = 10_000;
export const dataPathPort = 4789;

/** A namespace that plays a host. */
export interface BedHost {
  name: string;
  addr: string;
  path: string;
  namespaces: KernelNamespaces;
  plane: NetworkPlane;
  /** A plane that knows nothing, as after a restart. */
  restart(): NetworkPlane;
}

/** A namespace that plays a container. */
export interface BedContainer {
  path: string;
  address: string;
  port: LocalPort;
}

/** Hosts and containers in namespaces of their own, on a bridge that no rule of this machine reaches. */
export interface Bed {
  hosts: BedHost[];
  /** Those of the bed itself: its hosts and containers. */
  namespaces: KernelNamespaces;
  commands: Commands;
  /** Gives a container an interface on a network of a host, as the engine does. */
  join(host: BedHost, network: NodeNetwork, ...addresses: string[]): Promise<BedContainer>;
  /** Answers `name` and the caller's address on TCP and UDP, until the bed is removed. */
  serve(container: BedContainer, name: string, port: number): Promise<void>;
  connect(container: BedContainer, address: string, port: number): Promise<Connection>;
  /** What a server answers to a new connection. */
  ask(container: BedContainer, address: string, port: number): Promise<string>;
  /** What a server answers to a datagram; sent anew until it does. */
  askUdp(socket: DatagramSocket, address: string, port: number): Promise<string>;
  datagrams(container: BedContainer): Promise<DatagramSocket>;
  remove(): Promise<void>;
}

/** A client's connection to {@link Bed.serve}. */
export interface Connection {
  greeting: string;
  /** Sends a line and waits until it has come back. */
  echo(line: string): Promise<void>;
  close(): void;
}

/** Why these tests cannot run here, or false. */
export const unfit: string | false = process.getuid?.() === 0 ? false : 'needs root';

/** Makes a bed with `count` hosts that know each other as peers, but for the last `strangers`. */
export async function makeBed(count: number, strangers = 0): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), 'swarmd-kernel-'));
  const namespaces = createNamespaces(join(directory, 'bed'));
  const commands = createCommands(namespaces);
  const closers: (() => void)[] = [];
  const hosts: BedHost[] = [];
  namespaces.create('hub');
  await commands.batch(namespaces.pathOf('hub'), 'ip', ['link add br0 type bridge', 'link set br0 up']);
  for (let index = 1; index <= count; index++) hosts.push(await makeHost(directory, namespaces, commands, index));
  const addrs = hosts.map(({ addr }) => addr);
  for (const host of hosts) {
    const peers = addrs.slice(0, count - strangers).filter((addr) => addr !== host.addr);
    await host.plane.configure(configOf(host, peers));
  }
  let containers = 0;
  return {
    hosts,
    namespaces,
    commands,
    async join(host, network, ...addresses) {
      const id = `container${++containers}`;
      namespaces.create(id);
      const path = namespaces.pathOf(id);
      const port = { endpointId: `${id}${network.id}`, addresses, macAddress: macAddressOf(addresses[0]!) };
      const { interfaceName } = await host.plane.plug(network, port);
      await commands.batch(host.path, 'ip', [`link set ${interfaceName} netns ${path}`]);
      await commands.batch(path, 'ip', [
        'link set lo up',
        `link set ${interfaceName} name eth0`,
        ...addresses.map(
          (each) => `addr add ${each}/${isIP(each) === 4 ? 24 : 64} dev eth0${isIP(each) === 4 ? '' : ' nodad'}`,
        ),
        'link set eth0 up',
      ]);
      return { path, address: addresses[0]!, port };
    },
    async serve(container, name, port) {
      const server = answering(name);
      server.listen({ fd: namespaces.listen(container.path, 'tcp', container.address, port) });
      await once(server, 'listening');
      const udp = createSocket('udp4');
      udp.on('message', (_, from) => udp.send(`${name} ${from.address}`, from.port, from.address));
      // With a descriptor it listens before this returns.
      udp.bind({ fd: namespaces.listen(container.path, 'udp', container.address, port), exclusive: true });
      closers.push(
        () => server.close(),
        () => udp.close(),
      );
    },
    connect: (container, address, port) => connect(namespaces, container, address, port),
    async ask(container, address, port) {
      const connection = await connect(namespaces, container, address, port);
      connection.close();
      return connection.greeting;
    },
    async datagrams(container) {
      const socket = createSocket('udp4');
      socket.bind({ fd: namespaces.socket(container.path, 'udp', container.address, 0), exclusive: true });
      closers.push(() => socket.close());
      return socket;
    },
    askUdp,
    async remove() {
      for (const close of closers) close();
      for (const host of hosts) await host.plane.reset();
      namespaces.removeAll();
      rmSync(directory, { recursive: true });
    },
  };
}

async function makeHost(directory: string, bed: KernelNamespaces, commands: Commands, index: number): Promise<BedHost> {
  const name = `host${index}`;
  const addr = `192.0.2.${index}`;
  bed.create(name);
  const path = bed.pathOf(name);
  await commands.batch(path, 'ip', [
    'link set lo up',
    `link add eth0 type veth peer name p-${name} netns ${bed.pathOf('hub')}`,
    `addr add ${addr}/24 dev eth0`,
    'link set eth0 up',
  ]);
  await commands.batch(bed.pathOf('hub'), 'ip', [`link set p-${name} master br0 up`]);
  const namespaces = createNamespaces(join(directory, name));
  const restart = () => createNetworkPlane({ namespaces, logger: pino({ level: 'warn' }), hostNamespace: path });
  return { name, addr, path, namespaces, plane: restart(), restart };
}

function answering(name: string): Server {
  return createServer((socket) => {
    socket.write(`${name} ${socket.remoteAddress}\n`);
    socket.pipe(socket);
    socket.on('error', () => socket.destroy());
  });
}

async function connect(
  namespaces: KernelNamespaces,
  { path, address: own }: BedContainer,
  address: string,
  port: number,
): Promise<Connection> {
  const socket = new Socket({ fd: namespaces.socket(path, 'tcp', own, 0) });
  socket.setEncoding('utf8');
  const signal = AbortSignal.timeout(patienceMs);
  try {
    socket.connect({ host: address, port });
    await once(socket, 'connect', { signal });
    const greeting = await nextLine(socket, signal);
    return {
      greeting,
      async echo(line) {
        socket.write(`${line}\n`);
        const answer = await nextLine(socket, AbortSignal.timeout(patienceMs));
        if (answer !== line) throw new Error(`sent ${line}, got ${answer}`);
      },
      close: () => socket.destroy(),
    };
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
}

async function nextLine(socket: Socket, signal: AbortSignal): Promise<string> {
  let text = '';
  while (!text.endsWith('\n')) text += ((await once(socket, 'data', { signal })) as [string])[0];
  return text.trimEnd();
}

async function askUdp(socket: DatagramSocket, address: string, port: number): Promise<string> {
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(patienceMs) }) as Promise<[Buffer]>;
  const send = () => socket.send('?', port, address);
  const again = setInterval(send, 50);
  send();
  try {
    return (await answer)[0].toString();
  } finally {
    clearInterval(again);
  }
}

/** The part of a host with these peers. */
export function configOf(host: { name: string; addr: string }, peers: string[]): DataPathConfig {
  return { nodeId: host.name, clusterId: 'c', addr: host.addr, port: dataPathPort, peers };
}

/** A network with the subnet `10.<n>.0.0/24`. */
export function networkOf(id: string, vni: number, subnet = '10.1.0'): NodeNetwork {
  return {
    id: id.padEnd(25, '0'),
    name: id,
    vni,
    subnets: [{ subnet: `${subnet}.0/24`, gateway: `${subnet}.1` }],
    mtu: 1450,
    internal: false,
    ingress: false,
    attachable: true,
    addressBlocks: [],
  };
}

/** A task of the service `serviceId`. */
export function endpointOf(
  host: { addr: string },
  address: string,
  serviceId = '',
  phase: NetworkEndpoint['phase'] = 'ready',
): NetworkEndpoint {
  return { id: `task${address}`, serviceId, nodeAddr: host.addr, addresses: [address], phase, names: [] };
}

/** A service with virtual IPs. */
export function serviceOf(id: string, ...virtualIps: string[]): NetworkService {
  return { id, name: id, aliases: [], virtualIps };
}

export function membersOf(endpoints: NetworkEndpoint[], services: NetworkService[] = []): NetworkMembers {
  return {
    endpoints: new Map(endpoints.map((endpoint) => [endpoint.id, endpoint])),
    services: new Map(services.map((service) => [service.id, service])),
  };
}
