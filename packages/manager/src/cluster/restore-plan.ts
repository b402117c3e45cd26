import {
  CLUSTER_KEY,
  type Cluster,
  type Config,
  type Network,
  type Node,
  type Secret,
  type Service,
  type SpecRecord,
  SwarmdError,
  type Task,
} from '@swarmd/model';

/** All objects of a backup, and where it is from. */
export interface BackedUp {
  index: number;
  /** RFC 3339. */
  createdAt: string;
  clusters: readonly Cluster[];
  nodes: readonly Node[];
  services: readonly Service[];
  specs: readonly SpecRecord[];
  tasks: readonly Task[];
  secrets: readonly Secret[];
  configs: readonly Config[];
  networks: readonly Network[];
}

/** The host that restores. */
export interface RestoringHost {
  /** Where others reach its manager: `host:port`. */
  advertiseAddr: string;
  hostname: string;
  /** The backed-up manager whose place it takes (ID, hostname, address), or `new`; by address, then by name, if absent. */
  wanted: string | undefined;
}

/** A restore may not be sooner than this many indexes after the backup, however short ago it was. */
const LEAST_INDEX_GAP = 2 ** 20;
/** More transactions than any cluster makes in a millisecond. */
const INDEXES_PER_MS = 10;
/** As far as a store goes ahead at once (see `MAX_INDEX_JUMP`). */
const MOST_INDEX_GAP = 2 ** 40;

/**
 * The index at which a restored store goes on: above all that the history which is lost can have reached since the
 * backup, so that no version ever means two things. Pure; times in milliseconds.
 */
export function restoredIndex(backupIndex: number, createdMs: number, nowMs: number): number {
  const sinceMs = Math.max(0, nowMs - createdMs);
  return backupIndex + Math.min(MOST_INDEX_GAP, LEAST_INDEX_GAP + Math.ceil(sinceMs * INDEXES_PER_MS));
}

/** The one cluster object. `damaged` when the backup holds none. */
export function backedUpCluster({ clusters }: BackedUp): Cluster {
  const cluster = clusters.find(({ ID }) => ID === CLUSTER_KEY);
  if (cluster === undefined) throw new SwarmdError('damaged', 'the backup holds no cluster');
  return cluster;
}

/**
 * The backed-up manager whose place the host takes, or `undefined` for a new node. Only a manager that is surely the same
 * host is taken without being asked for: two hosts with one identity would keep each other out. `invalid-argument` for a
 * name that fits none, or several.
 */
export function placeOf({ nodes }: BackedUp, { advertiseAddr, hostname, wanted }: RestoringHost): Node | undefined {
  const managers = nodes.filter(({ Spec }) => Spec.Role === 'manager');
  if (wanted === 'new') return undefined;
  if (wanted !== undefined) {
    const fitting = managers.filter((node) => [node.ID, nameOf(node), addrOf(node)].includes(wanted));
    if (fitting.length === 1) return fitting[0];
    const known = managers.map((node) => `${nameOf(node)} (${node.ID}, ${addrOf(node)})`).join(', ');
    const problem = fitting.length === 0 ? 'no manager' : 'several managers';
    throw new SwarmdError('invalid-argument', `the backup has ${problem} by the name of ${wanted}: it has ${known}`);
  }
  const named = managers.filter((node) => nameOf(node) === hostname);
  return managers.find((node) => addrOf(node) === advertiseAddr) ?? (named.length === 1 ? named[0] : undefined);
}

/** What happens when the same cluster is restored, for people. */
export function sameClusterWords(
  backup: BackedUp,
  host: RestoringHost,
  place: Node | undefined,
): { steps: string[]; warnings: string[] } {
  const others = backup.nodes.filter((node) => node.Spec.Role === 'manager' && node.ID !== place?.ID);
  const workers = backup.nodes.filter((node) => node.Spec.Role === 'worker');
  const known = backup.nodes.filter((node) => node.Spec.Role === 'manager').map(addrOf);
  const cluster = backedUpCluster(backup);
  const steps = [
    `Cluster ${cluster.ClusterID} goes on as it was on ${backup.createdAt.slice(0, 19)}Z; what was changed later is lost.`,
    place === undefined
      ? `This host becomes a new manager of it, at ${host.advertiseAddr}, with a certificate from the cluster's root.`
      : `This host takes the place of manager ${nameOf(place)} (${place.ID}), at ${host.advertiseAddr}, with a new certificate.`,
    'Join tokens and the certificates of nodes stay valid.',
  ];
  const warnings: string[] = [];
  if (others.length > 0) {
    steps.push(`It is the only manager; these become workers: ${others.map(nameOf).join(', ')}.`);
    warnings.push(
      `The swarmd of ${others.map(nameOf).join(', ')} must not run on with the old state: "swarmctl leave --force" on each that still exists, then join again. "swarmctl node rm --force" removes what is left of the others.`,
    );
  }
  if (workers.length > 0 && known.includes(host.advertiseAddr)) {
    steps.push(`Its workers find this manager by themselves; their containers go on: ${listed(workers)}.`);
  } else if (workers.length > 0) {
    warnings.push(
      `The workers (${listed(workers)}) know their managers as ${known.join(', ')}, and this one is at ${host.advertiseAddr}: give this host such an address and name it with --advertise-addr, or on each worker "swarmctl leave --force" and "swarmctl join --token ${cluster.JoinTokens.Worker} ${host.advertiseAddr}".`,
    );
  }
  warnings.push(
    'A node that joined after the backup is no member: on it "swarmctl leave --force", then join again. One that was removed later is listed again, as down.',
  );
  return { steps, warnings };
}

/** What happens when a new cluster is made, for people. */
export function newClusterWords(backup: BackedUp, host: RestoringHost): { steps: string[]; warnings: string[] } {
  const steps = [
    `A new cluster is made of what cluster ${backedUpCluster(backup).ClusterID} was on ${backup.createdAt.slice(0, 19)}Z: its services, networks, secrets and configs.`,
    `It has a new ID, a new root certificate and new join tokens; this host is its one node, at ${host.advertiseAddr}.`,
    'Tasks start anew here and on the nodes that join. Replicated jobs keep what they have completed.',
  ];
  const warnings: string[] = [];
  const bound = backup.services.filter((service) =>
    (service.Spec.TaskTemplate?.Placement?.Constraints ?? []).some((text) =>
      /^\s*node\.(id|hostname|ip|labels)/.test(text),
    ),
  );
  if (bound.length > 0) {
    warnings.push(
      `Services that are bound to nodes by ID, name, address or label wait until such nodes join: ${bound.map(({ Spec }) => Spec.Name ?? '').join(', ')}.`,
    );
  }
  for (const node of backup.nodes) {
    const labels = Object.entries(node.Spec.Labels ?? {});
    if (labels.length > 0)
      warnings.push(`${nameOf(node)} had labels: ${labels.map(([name, value]) => `${name}=${value}`).join(' ')}.`);
  }
  const globalJobs = backup.services.filter(({ Spec }) => Spec.Mode?.GlobalJob);
  if (globalJobs.length > 0)
    warnings.push(
      `Global jobs run again, once on each node: ${globalJobs.map(({ Spec }) => Spec.Name ?? '').join(', ')}.`,
    );
  return { steps, warnings };
}

function nameOf(node: Node): string {
  return node.Description?.Hostname ?? node.ID;
}

function addrOf(node: Node): string {
  return node.ManagerStatus?.Addr ?? node.Status.Addr;
}

/** Names of nodes, not more than people read. */
function listed(nodes: readonly Node[]): string {
  const names = nodes.map(nameOf);
  return names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`;
}
