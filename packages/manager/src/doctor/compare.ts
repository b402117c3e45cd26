import { type DoctorFinding, linesDigest, type NetworkAudit, NODE_NETWORKS_PROTOCOL, type Node } from '@swarmd/model';
import type { ExpectedNode } from './expected.js';

/** Clocks of nodes that differ from the manager's by more are worth a word, and by much more a fault. */
const CLOCK_MS = { warning: 500, error: 10_000 } as const;
/** Engines before these lack what networks need. */
const ENGINE_FLOOR = [20, 10] as const;
/** Differences in what a node was told that are named. */
const MAX_NAMED = 5;

/** A node's answer, and when it was asked and answered (wall time of the asker, in milliseconds). */
export interface Answer {
  audit: NetworkAudit;
  sentMs: number;
  receivedMs: number;
}

/** What {@link compareNode} found. */
export interface Comparison {
  findings: DoctorFinding[];
  /** IDs of networks of which the node was told something else: to be asked again, as that may be on its way. */
  differing: string[];
}

/** A finding about a node. */
export function nodeFinding(
  { ID, Description }: Pick<Node, 'ID' | 'Description'>,
  Level: DoctorFinding['Level'],
  Code: string,
  What: string,
  Do: string,
): DoctorFinding {
  return { Level, Code, What, Do, NodeID: ID, Hostname: Description?.Hostname ?? '' };
}

/** What of a node's own view differs from the state of the store, besides what it found itself. Pure. */
export function compareNode(expected: ExpectedNode, { audit, sentMs, receivedMs }: Answer): Comparison {
  const { node } = expected;
  const found = (level: DoctorFinding['Level'], code: string, what: string, advice: string): DoctorFinding =>
    nodeFinding(node, level, code, what, advice);
  const findings = [
    ...audit.findings.map((finding) => ({ ...finding, NodeID: node.ID, Hostname: node.Description?.Hostname ?? '' })),
    ...clockFindings(node, audit.clockMs, sentMs, receivedMs),
    ...engineFindings(node),
  ];
  if (audit.protocol === 0) {
    findings.push(
      found(
        'error',
        'swarmd-net',
        'swarmd-net does not answer: its networks are as it left them',
        'look at the log of swarmd there; systemctl restart swarmd-net, where it is a unit',
      ),
    );
    return { findings, differing: [] };
  }
  if (audit.protocol !== NODE_NETWORKS_PROTOCOL) {
    const what = `swarmd-net there speaks protocol ${audit.protocol}, and this manager knows ${NODE_NETWORKS_PROTOCOL}`;
    findings.push(found('warning', 'swarmd-net', what, 'finish the upgrade, and restart swarmd-net there'));
  }
  findings.push(...dataPathFindings(expected, audit));
  const { differing, ...networks } = compareNetworks(expected, audit);
  return { findings: [...findings, ...networks.findings, ...containerFindings(expected, audit)], differing };
}

/** By how much a clock is ahead, as far as that can be told: what the way took is not its doing. */
export function clockAheadMs(clockMs: number, sentMs: number, receivedMs: number): number {
  if (clockMs > receivedMs) return clockMs - receivedMs;
  return clockMs < sentMs ? clockMs - sentMs : 0;
}

function clockFindings(node: Node, clockMs: number, sentMs: number, receivedMs: number): DoctorFinding[] {
  const aheadMs = clockAheadMs(clockMs, sentMs, receivedMs);
  if (Math.abs(aheadMs) <= CLOCK_MS.warning) return [];
  const level = Math.abs(aheadMs) > CLOCK_MS.error ? 'error' : 'warning';
  const what = `its clock is ${(Math.abs(aheadMs) / 1_000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this manager’s`;
  return [nodeFinding(node, level, 'clock', what, 'synchronise clocks on all hosts, with chrony or systemd-timesyncd')];
}

function engineFindings(node: Node): DoctorFinding[] {
  const version = node.Description?.Engine.EngineVersion ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = ENGINE_FLOOR;
  if (version === '' || Number.isNaN(major) || major > leastMajor || (major === leastMajor && minor >= leastMinor))
    return [];
  return [
    nodeFinding(
      node,
      'error',
      'version',
      `its engine is ${version}; ${ENGINE_FLOOR.join('.')} or later is needed`,
      'upgrade the engine there',
    ),
  ];
}

function dataPathFindings({ node, peers, port }: ExpectedNode, { dataPath }: NetworkAudit): DoctorFinding[] {
  if (node.DataPath === undefined) {
    const what = 'it takes no part in overlay networks: its session began before swarmd-net answered';
    return [nodeFinding(node, 'warning', 'data-path', what, 'restart swarmd there')];
  }
  const advice = 'restart swarmd there: it tells swarmd-net anew';
  if (dataPath === undefined)
    return [nodeFinding(node, 'error', 'data-path', 'its swarmd-net was not told of the data path yet', advice)];
  const findings: DoctorFinding[] = [];
  if (dataPath.addr !== node.DataPath.Addr || dataPath.port !== port) {
    const what = `it sends from ${dataPath.addr} port ${dataPath.port}, and others expect ${node.DataPath.Addr} port ${port}`;
    findings.push(nodeFinding(node, 'error', 'data-path', what, advice));
  }
  const others = peers();
  if (dataPath.peersDigest !== linesDigest(others)) {
    const what = `it lets ${dataPath.peers} peers in, which are not the ${others.length} other nodes of the data path`;
    findings.push(nodeFinding(node, 'error', 'peers', what, advice));
  }
  return findings;
}

function compareNetworks({ node, networks }: ExpectedNode, audit: NetworkAudit): Comparison {
  const findings: DoctorFinding[] = [];
  const differing: string[] = [];
  const has = new Map(audit.networks.map((network) => [network.id, network]));
  for (const [id, { network, digest }] of networks) {
    const { Name } = network.Spec;
    const { VNI, MTU, Subnets } = network.Allocation;
    const there = has.get(id);
    if (there === undefined) {
      findings.push(
        nodeFinding(
          node,
          'error',
          'network',
          `it does not have network ${Name}, which it needs`,
          'look at the log of swarmd there',
        ),
      );
      continue;
    }
    const subnets = Subnets.map(({ Subnet }) => Subnet);
    if (there.vni !== VNI || there.mtu !== MTU || there.subnets.join() !== subnets.join()) {
      const what = `network ${Name} has VNI ${there.vni}, MTU ${there.mtu} and ${there.subnets.join(', ')} there, and should have ${VNI}, ${MTU} and ${subnets.join(', ')}`;
      findings.push(
        nodeFinding(node, 'error', 'network', what, 'stop its tasks there: the network is made anew with the next one'),
      );
    }
    if (there.digest !== digest) differing.push(id);
  }
  return { findings, differing };
}

function containerFindings({ node, running, networks }: ExpectedNode, { locals }: NetworkAudit): DoctorFinding[] {
  const there = new Set(locals.map(({ networkId, address, taskId }) => `${networkId} ${address} ${taskId}`));
  return running
    .filter(
      ({ networkId, address, taskId }) => networks.has(networkId) && !there.has(`${networkId} ${address} ${taskId}`),
    )
    .map(({ name, networkId, address }) => {
      const what = `task ${name} runs, and its container is not on network ${networks.get(networkId)!.network.Spec.Name} with ${address}`;
      return nodeFinding(node, 'error', 'container', what, 'replace the task: swarmctl service update --force');
    });
}

/** How what a node knows of a network differs from what it was to be told: `-` before lines that it lacks, `+` before others. */
export function differingLines(expected: readonly string[], known: readonly string[]): string[] {
  const [should, is] = [new Set(expected), new Set(known)];
  return [
    ...expected.filter((line) => !is.has(line)).map((line) => `-${line}`),
    ...known.filter((line) => !should.has(line)).map((line) => `+${line}`),
  ];
}

/** The finding for lines of {@link differingLines} that stay. */
export function differenceFinding(node: Node, networkName: string, lines: readonly string[]): DoctorFinding {
  const words = lines
    .slice(0, MAX_NAMED)
    .map((line) => `${line.startsWith('-') ? 'lacks' : 'has'} ${inWords(line.slice(1))}`);
  const more = lines.length > MAX_NAMED ? `, and ${lines.length - MAX_NAMED} more` : '';
  const what = `what it knows of network ${networkName} is not what all nodes were told: it ${words.join(', ')}${more}`;
  return nodeFinding(node, 'error', 'members', what, 'restart swarmd there: it is told everything anew');
}

/** A line of `memberLines` for people. */
function inWords(line: string): string {
  const [kind, id, , nodeAddr, addresses, phase] = JSON.parse(line) as string[];
  if (kind === 'endpoint') return `endpoint ${id} (${[addresses].flat().join(', ')} on ${nodeAddr}, ${phase})`;
  return kind === 'service' ? `service ${id}` : `the ranges of node ${id}`;
}
