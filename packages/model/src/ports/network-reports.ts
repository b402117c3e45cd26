import type { NetworkFinding } from './network-audit.js';

/** What people see of the networks' health: answers of `/swarmd/doctor`, `/swarmd/trace` and `/swarmd/services/{id}/endpoints`. */

/** A finding, and the node that it is about; both names are empty where it is about no single one. */
export type DoctorFinding = NetworkFinding & { NodeID: string; Hostname: string };

/** What the doctor is asked. */
export interface DoctorOptions {
  /** This node alone, and its neighbours' view of it: ID, hostname or prefix. */
  node?: string;
  /** Mends what nodes can mend by themselves. */
  repair: boolean;
}

/** Answer to `GET /swarmd/doctor`. */
export interface DoctorReport {
  /** No finding is an error or a warning. */
  Healthy: boolean;
  /** The worst first. */
  Findings: DoctorFinding[];
  Nodes: {
    NodeID: string;
    Hostname: string;
    /** Whether it could be asked. */
    Answers: boolean;
    /** Of its swarmd-net; empty without one. */
    Version: string;
    Networks: number;
    Containers: number;
  }[];
  /** Ways between nodes that were tried with datagrams of the VXLAN port, and how many of them arrived. */
  Probes: { Sent: number; Heard: number };
}

/** A task, or another container, that a trace begins or ends at. */
export interface TraceEnd {
  Kind: 'task' | 'container' | 'service' | 'address';
  ID: string;
  Name: string;
  /** Empty for a service. */
  NodeID: string;
  Hostname: string;
  /** Without prefix lengths. */
  Addresses: { Network: string; NetworkID: string; Address: string }[];
}

/** One step of the way. */
export interface TraceHop {
  Hop: 'source' | 'network' | 'name' | 'virtual-ip' | 'backend' | 'forwarding' | 'reach' | 'reply' | 'published';
  /** `skipped`: it could not be looked at, or there was no need to. */
  Result: 'ok' | 'broken' | 'skipped';
  What: string;
  /** What is to be done about it; empty when nothing is. */
  Do: string;
}

/** What a trace is asked. */
export interface TraceOptions {
  from: string;
  to: string;
  /** TCP port to connect to; 0 for none. */
  port: number;
}

/** Answer to `GET /swarmd/trace`. */
export interface TraceReport {
  Source: TraceEnd;
  Destination: TraceEnd;
  /** In the order of the way: the first that is broken is the one to look after. */
  Hops: TraceHop[];
  Backends: ServiceEndpointTask[];
  /** Nothing is broken. */
  Ok: boolean;
}

/** A task of a service, and whether its name and virtual IPs lead there. */
export interface ServiceEndpointTask {
  ID: string;
  Name: string;
  NodeID: string;
  Hostname: string;
  State: string;
  DesiredState: string;
  Addresses: { Network: string; NetworkID: string; Address: string }[];
  /** `in`: new connections are led there. `draining`: only those that exist go on. `out`: neither. */
  Endpoint: 'in' | 'draining' | 'out';
  /** Why it is not in; empty when it is. */
  Why: string;
}

/** Answer to `GET /swarmd/services/{id}/endpoints`. */
export interface ServiceEndpoints {
  ServiceID: string;
  ServiceName: string;
  /** `vip` or `dnsrr`. */
  Mode: string;
  /** Without prefix lengths. */
  VirtualIPs: { Network: string; NetworkID: string; Address: string }[];
  Ports: { Protocol: string; PublishedPort: number; TargetPort: number; PublishMode: string }[];
  /** Those that are in first. Ended tasks only where their slot has no other. */
  Tasks: ServiceEndpointTask[];
}

/** What `POST /swarmd/cleanup` is asked. */
export interface CleanupOptions {
  /** Removes what is found; otherwise it is only listed. */
  remove: boolean;
  /** Although this node is in a cluster. */
  force: boolean;
}

/** Answer to `POST /swarmd/cleanup`. */
export interface CleanupReport {
  /** What is, or was, on this host, a line each. */
  Items: { Kind: string; Name: string; Removed: boolean; Error: string }[];
  Removed: boolean;
}
