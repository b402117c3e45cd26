import {
  type DoctorFinding,
  NETWORK_INQUIRIES,
  type NetworkAudit,
  type Probe,
  type ProbeResult,
  ProbeResultSchema,
  type Random,
  SwarmdError,
} from '@swarmd/model';
import type { AskNode } from '../dispatcher/index.js';
import { whatSucceeds } from './at-once.js';
import { nodeFinding } from './compare.js';
import type { ExpectedNode } from './expected.js';
import { type ProbePlan, probePairs } from './pairs.js';
import { type ProbeReport, probeFindings } from './probe-findings.js';

/** Nodes listen for at most this long: time for thousands to send. */
const LISTEN_MS = 120_000;
const SEND_TIMEOUT_MS = 60_000;
/** What VXLAN adds to a packet at most, in bytes: over IPv4, and over IPv6. */
const OVERHEAD_BYTES = { ipv4: 50, ipv6: 70 } as const;
/** Containers of others that each node tries to reach. */
const MAX_REACHED = 4;

/** A node that answered, and what it said. */
export interface Answering {
  expected: ExpectedNode;
  audit: NetworkAudit;
}

/** Asks a node to try something out. Rejects as `AskNode` does. */
export async function askProbe(ask: AskNode, nodeId: string, probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const answer = await ask(nodeId, NETWORK_INQUIRIES.probe, probe, { signal, timeoutMs: SEND_TIMEOUT_MS });
  const parsed = ProbeResultSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new SwarmdError('internal', `node ${nodeId} gave an answer that makes no sense`, { cause: parsed.error });
}

/** Has nodes send each other datagrams on the VXLAN port; `about` narrows that to one node and its way to others. */
export async function probeWays(
  { ask, random }: { ask: AskNode; random: Random },
  answering: readonly Answering[],
  about: string | undefined,
  signal: AbortSignal,
): Promise<ProbeReport> {
  const taking = answering.filter(
    ({ audit, expected }) => audit.dataPath !== undefined && expected.node.DataPath !== undefined,
  );
  const byId = new Map(taking.map((one) => [one.expected.node.ID, one]));
  const token = Buffer.from(random.bytes(3)).toString('hex');
  const plan = probePairs([...byId.keys()], () => random.float(), about);
  const port = taking[0]?.expected.port ?? 0;
  const receivers = [...new Set(plan.flatMap(({ to }) => to))];
  const listen = { do: 'listen', token, port, forMs: LISTEN_MS } as const;
  const listening = await whatSucceeds(receivers, (id) => askProbe(ask, id, listen, signal));
  const sent = await whatSucceeds(plan, ({ from, to }) =>
    askProbe(
      ask,
      from,
      {
        do: 'send',
        token,
        port,
        targets: targetsOf(
          byId,
          from,
          to.filter((id) => listening.has(id)),
        ),
      },
      signal,
    ),
  );
  const heard = await whatSucceeds([...listening.keys()], (id) => askProbe(ask, id, { do: 'heard', token }, signal));
  signal.throwIfAborted();
  const idByAddr = new Map(taking.map(({ audit, expected }) => [audit.dataPath!.addr, expected.node.ID]));
  const idsOf = (addrs: readonly string[]): Set<string> => new Set(addrs.flatMap((addr) => idByAddr.get(addr) ?? []));
  return probeFindings({
    ...{ plan: plan.filter((one) => sent.has(one)), port },
    nodes: new Map(taking.map(({ expected }) => [expected.node.ID, expected.node])),
    heard: new Map([...heard].map(([id, result]) => [id, idsOf(result.heard ?? [])])),
    arrived: new Map([...heard].flatMap(([id, { arrived }]) => (arrived === undefined ? [] : [[id, idsOf(arrived)]]))),
    walls: new Map([...heard].map(([id, { walls = [] }]) => [id, walls])),
    pings: new Map(
      [...sent].map(([{ from }, { pings = [] }]) => [
        from,
        new Map(pings.map((ping) => [idByAddr.get(ping.addr) ?? '', ping])),
      ]),
    ),
    packetBytes: new Map(taking.map((one) => [one.expected.node.ID, packetBytes(one)])),
  });
}

/** Has containers of some nodes reach containers of others over the networks that they share. */
export async function probeContainers(
  { ask, random }: { ask: AskNode; random: Random },
  answering: readonly Answering[],
  about: string | undefined,
  signal: AbortSignal,
): Promise<DoctorFinding[]> {
  const byId = new Map(answering.map((one) => [one.expected.node.ID, one]));
  const tried = probePairs([...byId.keys()], () => random.float(), about).flatMap((plan) => reaches(byId, plan));
  const results = await whatSucceeds(tried, ({ from, probe }) => askProbe(ask, from, probe, signal));
  const findings: DoctorFinding[] = [];
  for (const [{ from, to, probe, network }, { ping }] of results) {
    if (ping !== false) continue;
    const [sender, receiver] = [byId.get(from)!.expected.node, byId.get(to)!.expected.node];
    const what = `its container ${probe.from} does not reach ${probe.to} of node ${receiver.Description?.Hostname || to} on network ${network}`;
    findings.push(
      nodeFinding(sender, 'warning', 'overlay', what, `follow the way: swarmctl net trace ${probe.from} ${probe.to}`),
    );
  }
  return findings;
}

interface Reach {
  from: string;
  to: string;
  network: string;
  probe: Extract<Probe, { do: 'reach' }>;
}

function reaches(byId: ReadonlyMap<string, Answering>, { from, to }: ProbePlan): Reach[] {
  const mine = byId.get(from)!;
  const found: Reach[] = [];
  for (const id of to) {
    const theirs = byId.get(id)!;
    // Those that are to run: what starts and stops is reached by nobody for good reasons.
    const local = mine.expected.running.find(({ networkId, address }) => {
      return has(mine.audit, networkId, address) && theirs.expected.running.some((one) => one.networkId === networkId);
    });
    const remote = theirs.expected.running.find(({ networkId, address }) => {
      return networkId === local?.networkId && has(theirs.audit, networkId, address);
    });
    if (local === undefined || remote === undefined) continue;
    const network = mine.expected.networks.get(local.networkId)?.network.Spec.Name ?? local.networkId;
    const probe = {
      do: 'reach',
      networkId: local.networkId,
      from: local.address,
      to: remote.address,
      port: 0,
    } as const;
    found.push({ from, to: id, network, probe });
    if (found.length >= MAX_REACHED) break;
  }
  return found;
}

function has({ locals }: NetworkAudit, networkId: string, address: string): boolean {
  return locals.some((local) => local.networkId === networkId && local.address === address);
}

function targetsOf(byId: ReadonlyMap<string, Answering>, from: string, to: readonly string[]) {
  const bytes = packetBytes(byId.get(from)!);
  return to.map((id) => ({ addr: byId.get(id)!.audit.dataPath!.addr, packetBytes: bytes }));
}

/** The largest packet that a node's networks send to others. */
function packetBytes({ expected, audit }: Answering): number {
  const overhead = OVERHEAD_BYTES[audit.dataPath?.addr.includes(':') ? 'ipv6' : 'ipv4'];
  const mtus = [...expected.networks.values()].map(({ network }) => network.Allocation.MTU + overhead);
  return Math.max(...mtus, 576);
}
