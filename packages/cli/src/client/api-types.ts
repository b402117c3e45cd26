import type { ClusterSpec, ContainerStatus, NodeSpec, PortConfig, ServiceSpec, TaskSpec } from '@swarmd/model';

/** What every object of the API has. Times are RFC 3339. */
export interface ApiMeta {
  ID: string;
  Version: { Index: number };
  CreatedAt: string;
  UpdatedAt: string;
}

/** A service as `/services` shows it. */
export interface ApiService extends ApiMeta {
  Spec: ServiceSpec;
  PreviousSpec?: ServiceSpec;
  Endpoint?: { Ports?: PortConfig[]; VirtualIPs?: { NetworkID: string; Addr: string }[] };
  UpdateStatus?: { State?: string; StartedAt?: string; CompletedAt?: string; Message?: string };
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number; CompletedTasks: number };
  JobStatus?: { JobIteration: { Index?: number }; LastExecution?: string };
}

/** A task as `/tasks` shows it. */
export interface ApiTask extends ApiMeta {
  Spec: TaskSpec;
  ServiceID: string;
  Slot?: number;
  NodeID?: string;
  Status: {
    Timestamp: string;
    State: string;
    Message?: string;
    Err?: string;
    ContainerStatus?: ContainerStatus;
    PortStatus?: { Ports?: PortConfig[] | null };
  };
  DesiredState: string;
  JobIteration?: { Index?: number };
}

/** How a certificate's issuer is shown. */
export interface ApiTlsInfo {
  TrustRoot?: string;
  CertIssuerSubject?: string;
  CertIssuerPublicKey?: string;
}

/** A node as `/nodes` shows it. */
export interface ApiNode extends ApiMeta {
  Spec: NodeSpec;
  Description: {
    Hostname?: string;
    Platform?: { Architecture?: string; OS?: string };
    Resources?: { NanoCPUs?: number; MemoryBytes?: number };
    Engine?: { EngineVersion?: string; Labels?: Record<string, string>; Plugins?: { Type: string; Name: string }[] };
    TLSInfo?: ApiTlsInfo;
  };
  Status: { State?: string; Message?: string; Addr?: string };
  ManagerStatus?: { Leader?: boolean; Reachability?: string; Addr?: string };
  /** Of the node's swarmd, as of its last registration. */
  SwarmdVersion?: string;
  /** The life of the node's certificate, RFC 3339. */
  Certificate?: { NotBefore: string; NotAfter: string };
}

/** A secret or config as the API shows it. */
export interface ApiData extends ApiMeta {
  Spec: {
    Name: string;
    Labels?: Record<string, string> | null;
    Data?: string;
    Driver?: { Name?: string } | null;
    Templating?: { Name?: string } | null;
  };
}

/** A network as `/networks` shows it. */
export interface ApiNetwork {
  Id: string;
  Name: string;
  Created?: string;
  Scope?: string;
  Driver?: string;
  Internal?: boolean;
  EnableIPv4?: boolean;
  EnableIPv6?: boolean;
  Labels?: Record<string, string> | null;
  /** How full it is, by subnet; of the cluster's networks alone. */
  Status?: { IPAM?: { Subnets?: Record<string, { IPsInUse: number; DynamicIPsAvailable: number }> } };
}

/** The cluster as `/swarm` shows it. */
export interface ApiCluster extends ApiMeta {
  Spec: ClusterSpec;
  TLSInfo?: ApiTlsInfo;
  RootRotationInProgress?: boolean;
  /** There while the key of the stored state is being replaced. */
  DataKeyRotation?: {
    State: string;
    Since?: string;
    WaitingFor: { NodeID: string; Hostname: string; Reachability: string }[];
  };
  JoinTokens?: { Worker: string; Manager: string };
}

/** The parts of `/info` that commands here read. */
export interface ApiInfo {
  Name?: string;
  Swarm: {
    NodeID?: string;
    NodeAddr?: string;
    LocalNodeState?: string;
    ControlAvailable?: boolean;
    Error?: string;
    RemoteManagers?: { NodeID: string; Addr: string }[] | null;
    Nodes?: number;
    Managers?: number;
    Cluster?: Partial<ApiCluster> | null;
    Warnings?: string[] | null;
  };
  [field: string]: unknown;
}
