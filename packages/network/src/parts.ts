import type {
  DataPathConfig,
  NetworkEndpoint,
  NetworkService,
  NodeBlocks,
  NodeNetwork,
  PublishedService,
} from '@swarmd/model';

/**
 * Ports of a gateway's address where questions for names are answered: those meant for it, and those that were meant for
 * the engine's server.
 */
export const NAME_PORTS = { own: 53, redirected: 5311 } as const;

/** Who is on a network, as this node was told. */
export interface NetworkMembers {
  /** By ID: those of this node too. */
  endpoints: ReadonlyMap<string, NetworkEndpoint>;
  /** By ID. */
  services: ReadonlyMap<string, NetworkService>;
  /** By node ID: where addresses are that are no endpoint's; none when absent. */
  blocks?: ReadonlyMap<string, NodeBlocks>;
  /** Addresses of containers that are on this node whatever else is said of them; none when absent. */
  here?: ReadonlySet<string>;
}

/** A container's end of a network on this node, as the engine asked for it. */
export interface LocalPort {
  /** The engine's ID. */
  endpointId: string;
  /** Without prefix length; IPv4 first. */
  addresses: readonly string[];
  /** Derived from the IPv4 address. */
  macAddress: string;
}

/**
 * The kernel's side of the networks: namespaces, bridges, VXLAN, ports of containers, virtual IPs. Every method brings
 * about what it says from whatever is there, so that it can be repeated, and after a restart.
 */
export interface NetworkPlane {
  /** Own address, port and peers: also the guard of the VXLAN port. */
  configure(config: DataPathConfig): Promise<void>;
  /** Makes or mends the network's namespace with all that does not depend on who is on it. */
  ensure(network: NodeNetwork): Promise<void>;
  remove(networkId: string): Promise<void>;
  /**
   * Makes the pair of interfaces of a container: one end in the network's bridge. Returns the name of the other, in the
   * host's namespace, for the engine to move into the container.
   */
  plug(network: NodeNetwork, port: LocalPort): Promise<{ interfaceName: string }>;
  unplug(networkId: string, endpointId: string): Promise<void>;
  /** Forwarding entries, neighbours and virtual IPs as `members` say: adds first, removals after. */
  apply(network: NodeNetwork, members: NetworkMembers): Promise<void>;
  /** What differs from what should be there, each a sentence; what can be mended is, unless `repair` is false. */
  audit(
    network: NodeNetwork,
    members: NetworkMembers,
    ports: readonly LocalPort[],
    repair?: boolean,
  ): Promise<string[]>;
  /** Removes everything of ours from the kernel. */
  reset(): Promise<void>;
}

/** Who asks a name server: a container of this node, and what it may learn. */
export interface Asker {
  /** Networks that it is on, by ID, that of the question first. */
  networkIds: readonly string[];
  /** Its own name servers, `IP`, from its spec; empty for the host's. */
  dns: readonly string[];
  /** Whether it may learn names from outside: it is on a network that is not internal. */
  outside: boolean;
  /** Path of its network namespace; absent when it is not known. */
  sandbox?: string;
  /** Whether it is no task: then the engine knows names on its networks, too. */
  plain?: boolean;
}

/** Where names are looked up. */
export interface NameSource {
  /** The container with this address on this network; `undefined` when there is none here. */
  asker(networkId: string, address: string): Asker | undefined;
  network(networkId: string): NodeNetwork | undefined;
  /** Another object after each change: what is worked out from one is kept by it. */
  members(networkId: string): NetworkMembers | undefined;
}

/** The DNS server of every network of this node, on the gateway's address inside its namespace. */
export interface NameServer {
  /** Answers on a network from now on; repeated, it does nothing. */
  serve(network: NodeNetwork): Promise<void>;
  /**
   * What the container with the namespace `sandbox` asks the engine's server is answered here from now on, by its port
   * `by`; without one by the engine again. May be repeated, at no cost. `not-found` before the namespace is there.
   */
  redirect(sandbox: string, by: { network: NodeNetwork; port: LocalPort } | undefined): Promise<void>;
  /**
   * Asks itself something on a network that it serves: a sentence for each address that nobody answers at. With `repair`
   * it listens there anew.
   */
  audit(network: NodeNetwork, repair: boolean): Promise<string[]>;
  stop(networkId: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * The routing mesh: what services publish answers on every address of this node and leads into the ingress network. The
 * plane has made that network, and makes it again, before `apply` and `check` are called. See `docs/decisions/mesh.md`.
 */
export interface Mesh {
  /** Own data path address and those of all other nodes: answers of containers go to the node that a client came by. */
  configure(config: DataPathConfig): Promise<void>;
  /** `members` are those of the ingress network. Without `ingress` everything of the mesh is taken down. */
  apply(
    ingress: NodeNetwork | undefined,
    members: NetworkMembers | undefined,
    published: readonly PublishedService[],
  ): Promise<void>;
  /**
   * A container with a port on the ingress network has joined, and has all its interfaces: its answers leave by that
   * port. May be repeated, and has to be when its default route has changed. `not-found` before the port is inside.
   */
  joined(sandbox: string, ingress: NodeNetwork, port: LocalPort): Promise<void>;
  /** Looks whether all is there, mends it, and tries again to take ports that were busy; done regularly by itself, too. */
  check(): Promise<void>;
  /** What stands in the way, each a sentence for people. */
  problems(): string[];
  /** Removes everything of ours from the host, what an earlier process left too. */
  reset(): Promise<void>;
  /** Stops looking and lets go of the ports, while the rules stay: for the end of the process. */
  close(): Promise<void>;
}

/** Code that runs on the one JavaScript thread inside a network namespace, and processes that it starts there. */
export interface Namespaces {
  /** Runs `fn` synchronously inside; processes that it spawns stay inside, sockets that it opens belong there. */
  inside<T>(path: string, fn: () => T): T;
  /** Path of a network's namespace. */
  pathOf(networkId: string): string;
  /**
   * A socket of `protocol` bound to `address` and `port` inside (TCP ones listen), which it shares with nobody; its file
   * descriptor. `in-use` when somebody has them.
   */
  listen(path: string, protocol: 'udp' | 'tcp', address: string, port: number): number;
  /** A socket bound inside that does not listen; `port` 0 is any. */
  socket(path: string, protocol: 'udp' | 'tcp', address: string, port: number): number;
}
