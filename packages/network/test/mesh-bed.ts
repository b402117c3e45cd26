import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, NetworkEndpoint, NodeNetwork, PortConfig, PublishedService } from '@swarmd/model';
import { pino } from 'pino';
import { macAddressOf } from '../src/kernel/addresses.js';
import { type Commands, createCommands } from '../src/kernel/commands.js';
import { createNamespaces, type KernelNamespaces } from '../src/kernel/namespaces.js';
import { createNetworkPlane } from '../src/kernel/plane.js';
import { createMesh, type MeshDeps } from '../src/mesh/mesh.js';
import type { LocalPort, Mesh, NetworkMembers, NetworkPlane } from '../src/parts.js';

/** Long enough for a busy machine; nothing is as slow when it works. */
export const patienceMs = 20_000;

/** The ingress network of all beds. */
export const ingress: NodeNetwork = {
  id: 'ingress000000000000000000',
  name: 'ingress',
  vni: 1 << 20,
  subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1' }],
  mtu: 1450,
  internal: false,
  ingress: true,
  attachable: false,
  addressBlocks: [],
};

/** One with IPv6 beside IPv4. */
export const dualIngress: NodeNetwork = {
  ...ingress,
  subnets: [...ingress.subnets, { subnet: 'fd00:ff::/64', gateway: 'fd00:ff::1' }],
};

/** A namespace that plays a host, with what swarmd-net would run on it. */
export interface MeshHost {
  addr: string;
  path: string;
  /** Path of a network's namespace on this host. */
  pathOf(networkId: string): string;
  plane: NetworkPlane;
  mesh: Mesh;
  /** Another mesh for the same host, as after a restart. */
  another(options?: Partial<MeshDeps>): Mesh;
}

/** A namespace that plays a container on the ingress network: `eth1` is its way out, as `docker_gwbridge` is. */
export interface MeshContainer {
  host: MeshHost;
  path: string;
  address: string;
  port: LocalPort;
  /** Clients seen by TCP and UDP, `address:port`. */
  seen: string[];
}

/** Hosts 192.0.2.1 and up on one bridge, and a client 192.0.2.100; 2001:db8::1 and up, and 2001:db8::100. */
export interface MeshBed {
  hosts: MeshHost[];
  client: string;
  commands: Commands;
  namespaces: KernelNamespaces;
  /** A container that answers its name on TCP 80 and UDP 53, on all its addresses; `address6` is one more of these. */
  container(host: MeshHost, address: string, name: string, address6?: string): Promise<MeshContainer>;
  /** Tells all hosts who is there and what is published. */
  tell(members: NetworkMembers, published: PublishedService[]): Promise<void>;
  /** Opens a connection from the namespace `path`; `from` is the client's port, 0 for any. */
  connect(path: string, address: string, port: number, from?: number): Promise<Connection>;
  /** What a new connection is greeted with. */
  ask(path: string, address: string, port: number): Promise<string>;
  /** A socket bound in the namespace `path`; to any address and port unless told. */
  datagrams(path: string, address?: string, port?: number): DatagramSocket;
  remove(): Promise<void>;
}

/** A connection to a container's server. */
export interface Connection {
  /** `<name> <client's address>`. */
  greeting: string;
  echo(line: string): Promise<void>;
  close(): void;
}

/** Why these tests cannot run here, or false. */
export const unfit: string | false = process.getuid?.() === 0 ? false : 'needs root';

/** The machine's; waiting keeps no process alive. */
export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The IPv6 address of a host that has this one of IPv4. */
export function six(addr: string): string {
  return addr.replace('192.0.2.', '2001:db8::');
}

/**
 * Makes a bed with `count` hosts that are peers, with the ingress network and a mesh on each; packets between them go by
 * the version `underlay` of IP.
 */
export async function makeMeshBed(count: number, network = ingress, underlay: 4 | 6 = 4): Promise<MeshBed> {
  const directory = mkdtempSync(join(tmpdir(), 'swarmd-mesh-'));
  const namespaces = createNamespaces(join(directory, 'bed'));
  const commands = createCommands(namespaces);
  const closers: (() => void)[] = [];
  const hub = makeNamespace(namespaces, 'hub');
  await commands.batch(hub, 'ip', ['link add br0 type bridge', 'link set br0 up']);
  const attach = async (name: string, addr: string): Promise<string> => {
    const path = makeNamespace(namespaces, name);
    await commands.batch(path, 'ip', [
      'link set lo up',
      `link add eth0 type veth peer name p-${name} netns ${hub}`,
      `addr add ${addr}/24 dev eth0`,
      `addr add ${six(addr)}/64 dev eth0 nodad`,
      'link set eth0 up',
    ]);
    await commands.batch(hub, 'ip', [`link set p-${name} master br0 up`]);
    return path;
  };
  const client = await attach('client', '192.0.2.100');
  const addrs = Array.from({ length: count }, (_, index) => `192.0.2.${index + 1}`);
  const hosts: MeshHost[] = [];
  for (const [index, addr] of addrs.entries()) {
    const path = await attach(`host${index}`, addr);
    const [own = addr, ...all] = [addr, ...addrs].map((one) => (underlay === 6 ? six(one) : one));
    hosts.push(await makeHost(join(directory, `host${index}`), path, own, all, commands, network));
  }
  let containers = 0;
  const connect = (path: string, address: string, port: number, from = 0) => {
    const any = address.includes(':') ? '::' : '0.0.0.0';
    return openConnection(new Socket({ fd: namespaces.socket(path, 'tcp', any, from) }), address, port);
  };
  return {
    hosts,
    client,
    commands,
    namespaces,
    async container(host, address, name, address6) {
      const path = makeNamespace(namespaces, `container${++containers}`);
      const addresses = address6 === undefined ? [address] : [address, address6];
      const made = await plugContainer(commands, host, path, { network, addresses, number: containers });
      closers.push(...(await serve(namespaces, made, name)));
      return made;
    },
    async tell(members, published) {
      await Promise.all(
        hosts.map(async (host) => {
          await host.plane.apply(network, members);
          await host.mesh.apply(network, members, published);
        }),
      );
    },
    connect,
    async ask(path, address, port) {
      const connection = await connect(path, address, port);
      connection.close();
      return connection.greeting;
    },
    datagrams(path, address = '0.0.0.0', port = 0) {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.bind({ fd: namespaces.socket(path, 'udp', address, port), exclusive: true });
      closers.push(() => socket.close());
      return socket;
    },
    async remove() {
      for (const close of closers) close();
      for (const host of hosts) {
        await host.mesh.reset();
        await host.plane.reset();
      }
      namespaces.removeAll();
      rmSync(directory, { recursive: true });
    },
  };
}

function makeNamespace(namespaces: KernelNamespaces, name: string): string {
  namespaces.create(name);
  return namespaces.pathOf(name);
}

async function makeHost(
  directory: string,
  path: string,
  addr: string,
  addrs: readonly string[],
  commands: Commands,
  network: NodeNetwork,
): Promise<MeshHost> {
  const namespaces = createNamespaces(directory);
  const logger = pino({ level: process.env['MESH_LOG'] ?? 'silent' });
  const plane = createNetworkPlane({ namespaces, logger, hostNamespace: path });
  const another = (options: Partial<MeshDeps> = {}) =>
    createMesh({ namespaces, hostNamespace: path, clock, logger, sshPorts: [2222], ...options });
  // Way out of containers, as Docker has it; strict reverse path filtering, as some distributions have it.
  await commands.run(path, ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=1']);
  await commands.batch(path, 'ip', ['link add gw type bridge', 'addr add 172.18.0.1/16 dev gw', 'link set gw up']);
  await commands.nft(path, [
    'table ip engine {',
    'chain postrouting {',
    'type nat hook postrouting priority srcnat;',
    'ip saddr 172.18.0.0/16 oifname != "gw" masquerade',
    '}',
    '}',
  ]);
  const peers = addrs.filter((peer) => peer !== addr);
  const config = { nodeId: addr, clusterId: 'c', addr, port: 4789, peers };
  const host: MeshHost = { addr, path, pathOf: namespaces.pathOf, plane, mesh: another(), another };
  await plane.configure(config);
  await plane.ensure(network);
  await host.mesh.configure(config);
  return host;
}

async function plugContainer(
  commands: Commands,
  host: MeshHost,
  path: string,
  { network, addresses, number }: { network: NodeNetwork; addresses: string[]; number: number },
): Promise<MeshContainer> {
  const [address = '', address6] = addresses;
  const port = { endpointId: `container${number}`, addresses, macAddress: macAddressOf(address) };
  const { interfaceName } = await host.plane.plug(network, port);
  await commands.batch(host.path, 'ip', [
    `link set ${interfaceName} netns ${path}`,
    `link add g${number} type veth peer name eth1 netns ${path}`,
    `link set g${number} master gw up`,
  ]);
  await commands.run(path, ['sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.default.rp_filter=1']);
  await commands.batch(path, 'ip', [
    'link set lo up',
    `link set ${interfaceName} name eth0`,
    `addr add ${address}/24 dev eth0`,
    ...(address6 === undefined ? [] : [`addr add ${address6}/64 dev eth0 nodad`]),
    'link set eth0 up',
    `addr add 172.18.0.${number + 1}/16 dev eth1`,
    'link set eth1 up',
    'route add default via 172.18.0.1',
  ]);
  await host.mesh.joined(path, network, port);
  return { host, path, address, port, seen: [] };
}

async function serve(namespaces: KernelNamespaces, container: MeshContainer, name: string): Promise<(() => void)[]> {
  const sockets = new Set<Socket>();
  const closers = [
    () => {
      for (const socket of sockets) socket.destroy();
    },
  ];
  for (const any of ['0.0.0.0', '::']) {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      container.seen.push(`${socket.remoteAddress}:${socket.remotePort}`);
      socket.write(`${name} ${socket.remoteAddress}\n`);
      socket.pipe(socket);
      socket.on('error', () => socket.destroy());
    });
    server.listen({ fd: namespaces.listen(container.path, 'tcp', any, 80) });
    await once(server, 'listening');
    const udp = createSocket(any === '::' ? 'udp6' : 'udp4');
    udp.on('message', (message, from) => {
      container.seen.push(`${from.address}:${from.port}`);
      udp.send(`${name} ${from.address} ${message}`, from.port, from.address);
    });
    // At once: there is nothing to wait for.
    udp.bind({ fd: namespaces.listen(container.path, 'udp', any, 53), exclusive: true });
    closers.push(
      () => server.close(),
      () => udp.close(),
    );
  }
  return closers;
}

async function openConnection(socket: Socket, address: string, port: number): Promise<Connection> {
  socket.setEncoding('utf8');
  const signal = AbortSignal.timeout(patienceMs);
  try {
    socket.connect({ host: address, port });
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

/** The answer to a datagram that comes from where it was sent to; sent anew until it does. */
export async function askUdp(socket: DatagramSocket, address: string, port: number, text = '?'): Promise<string> {
  const signal = AbortSignal.timeout(patienceMs);
  const send = () => socket.send(text, port, address);
  const again = setInterval(send, 100);
  send();
  try {
    for (;;) {
      const [answer, from] = (await once(socket, 'message', { signal })) as [Buffer, { address: string; port: number }];
      // An earlier question that was sent anew may be answered twice.
      const fits = from.address === address && from.port === port && answer.toString().endsWith(` ${text}`);
      if (fits) return answer.toString();
    }
  } finally {
    clearInterval(again);
  }
}

/** A ready task of `serviceId`, or one in another phase. */
export function taskOf(
  container: MeshContainer,
  serviceId: string,
  phase: NetworkEndpoint['phase'] = 'ready',
): NetworkEndpoint {
  const { address, host, port } = container;
  return { id: `task${address}`, serviceId, nodeAddr: host.addr, addresses: [...port.addresses], phase, names: [] };
}

export function membersOf(...endpoints: NetworkEndpoint[]): NetworkMembers {
  return { endpoints: new Map(endpoints.map((endpoint) => [endpoint.id, endpoint])), services: new Map() };
}

/** A service that publishes ports: `[published, target, protocol, host IP]`. */
export function publishing(
  serviceId: string,
  ...ports: [number, number, ('tcp' | 'udp')?, string?][]
): PublishedService {
  return {
    serviceId,
    ports: ports.map(([PublishedPort, TargetPort, Protocol = 'tcp', HostIP]) => {
      const port: PortConfig = { Protocol, PublishedPort, TargetPort, PublishMode: 'ingress' };
      return HostIP === undefined ? port : { ...port, HostIP };
    }),
  };
}
