import {
  type CheckFinding,
  type ClusterCheck,
  certificateStage,
  type ManagerCheck,
  type NodeCheck,
} from '@swarmd/model';

/** Clocks that differ by more than this make certificates, logs and timestamps hard to trust. */
const CLOCK_MS = 1_000;
/** A disk slower than this makes every write slow, and elections likely; etcd itself advises 10 ms. */
const FSYNC_MS = 50;
/** Part of etcd's space that may be in use before somebody should look. */
const SPACE = 0.7;

/** What is checked, besides the verdict. */
export type Checked = Omit<ClusterCheck, 'Findings' | 'Healthy'>;
/** A node's certificate, as the store has it, by node ID. */
export type Certificates = ReadonlyMap<string, { NotBefore: string; NotAfter: string }>;

/** What is wrong, or about to be, the worst first. `nowMs`: wall time. */
export function findingsOf(checked: Checked, certificates: Certificates, nowMs: number): CheckFinding[] {
  const found = [
    quorumFinding(checked.Quorum),
    ...checked.Managers.flatMap(managerFindings),
    ...checked.Nodes.flatMap((node) => nodeFindings(node, certificates.get(node.NodeID), nowMs)),
    rootFinding(checked.RootCertificateNotAfter, nowMs),
    versionFinding(checked),
  ];
  const order = ['error', 'warning', 'note'];
  return found
    .filter((finding) => finding !== undefined)
    .sort((a, b) => order.indexOf(a.Level) - order.indexOf(b.Level));
}

function finding(Level: CheckFinding['Level'], What: string, Do: string): CheckFinding {
  return { Level, What, Do };
}

function quorumFinding({ Voters, Healthy, Quorum, Margin }: ClusterCheck['Quorum']): CheckFinding | undefined {
  if (Margin < 0) {
    const what = `the managers have no quorum: ${Healthy} of ${Voters} are there, and ${Quorum} are needed; nothing can be changed`;
    return finding(
      'error',
      what,
      'start the others again; if they are gone for good, see "swarmctl cluster recover --show"',
    );
  }
  if (Voters === 1) {
    const advice = 'add two managers ("swarmctl node promote"), and keep backups ("swarmctl backup create")';
    return finding(
      'note',
      'there is one manager: when its disk is lost, only a backup brings the cluster back',
      advice,
    );
  }
  if (Voters === 2 && Margin === 0) {
    const what = 'there are two managers, and neither may be lost: that is less safe than one';
    return finding('warning', what, 'add a third ("swarmctl node promote"), or demote one ("swarmctl node demote")');
  }
  if (Margin === 0) {
    const what = `${Healthy} of ${Voters} managers are there, and none of them may be lost`;
    return finding(
      'warning',
      what,
      'bring the others back, or replace them: demote what is gone, then promote another node',
    );
  }
  if (Voters % 2 > 0 || Quorum === 1) return undefined;
  const what = `${Voters} managers survive the loss of ${Margin}, no more than ${Voters - 1} do`;
  return finding('note', what, 'add one, or demote one');
}

function managerFindings(manager: ManagerCheck): CheckFinding[] {
  const name = manager.Hostname || manager.Addr;
  if (!manager.Answers) {
    const advice = `start swarmd there; if the host is gone for good: swarmctl node demote ${name}, then swarmctl node rm --force ${name}`;
    return [finding('error', `manager ${name} (${manager.Addr}) does not answer`, advice)];
  }
  const { Etcd, ClockAheadMs = 0, RoundTripMs = 0 } = manager;
  const found: CheckFinding[] = [];
  // What the way took is not the clock's doing.
  if (Math.abs(ClockAheadMs) - RoundTripMs / 2 > CLOCK_MS) found.push(clockFinding(`manager ${name}`, ClockAheadMs));
  if (Etcd === undefined) return found;
  if (Etcd.Alarms.includes('nospace')) {
    const advice =
      'nothing can be written: make room on its disk; swarmd then compacts and takes the alarm back by itself';
    found.push(finding('error', `etcd on ${name} is out of space`, advice));
  } else if (Etcd.UsedBytes > SPACE * Etcd.QuotaBytes) {
    const percent = Math.round((100 * Etcd.UsedBytes) / Etcd.QuotaBytes);
    const advice = 'lower the task history ("swarmctl update --task-history-limit"), or give the disk more room';
    found.push(finding('warning', `etcd on ${name} uses ${percent} % of its space`, advice));
  }
  if (Etcd.Alarms.includes('corrupt')) {
    const advice = `replace it: swarmctl node demote ${name}, then swarmctl node promote ${name}`;
    found.push(finding('error', `etcd on ${name} differs from the others`, advice));
  }
  if ((Etcd.FsyncP99Ms ?? 0) > FSYNC_MS) {
    const what = `the disk of ${name} is slow: 1 of 100 syncs of etcd's log takes ${Math.round(Etcd.FsyncP99Ms ?? 0)} ms or more`;
    found.push(finding('warning', what, 'put --data-dir on an SSD, or keep others from that disk'));
  }
  return found;
}

function clockFinding(who: string, aheadMs: number): CheckFinding {
  const seconds = Math.abs(aheadMs / 1_000).toFixed(1);
  const what = `the clock of ${who} is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} its manager’s`;
  return finding('warning', what, 'synchronise clocks on all hosts, with chrony or systemd-timesyncd');
}

function nodeFindings(
  { Hostname, NodeID, State, ClockAheadMs = 0 }: NodeCheck,
  certificate: { NotBefore: string; NotAfter: string } | undefined,
  nowMs: number,
): CheckFinding[] {
  const name = Hostname || NodeID;
  const found: CheckFinding[] = [];
  if (State !== 'ready') {
    const advice = `look at swarmd there; if the host is gone for good: swarmctl node rm --force ${name}`;
    found.push(finding('warning', `node ${name} is ${State}`, advice));
  }
  if (Math.abs(ClockAheadMs) > CLOCK_MS) found.push(clockFinding(`node ${name}`, ClockAheadMs));
  const stage = certificate && certificateStage(certificate, nowMs).stage;
  if (stage === 'expired')
    found.push(
      finding('error', `the certificate of ${name} has expired`, 'on that host: swarmctl leave --force, then join'),
    );
  if (stage === 'expiring') {
    const what = `the certificate of ${name} runs out at ${certificate?.NotAfter} and was not renewed`;
    found.push(finding('warning', what, 'see why in the log of swarmd there; it must reach a manager'));
  }
  return found;
}

function rootFinding(notAfter: string, nowMs: number): CheckFinding | undefined {
  const leftMs = Date.parse(notAfter) - nowMs;
  if (!(leftMs < 365 * 24 * 3_600_000)) return undefined;
  return finding('warning', `the root certificate runs out at ${notAfter}`, 'replace it: swarmctl ca --rotate');
}

function versionFinding({ Managers, Nodes }: Checked): CheckFinding | undefined {
  const versions = new Set([...Managers, ...Nodes].flatMap(({ SwarmdVersion }) => SwarmdVersion ?? []));
  if (versions.size <= 1) return undefined;
  const what = `nodes run different versions of swarmd: ${[...versions].sort().join(', ')}`;
  return finding('note', what, 'finish the upgrade: managers and workers one version apart work together, no further');
}
