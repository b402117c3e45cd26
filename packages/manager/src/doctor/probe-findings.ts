import type { DoctorFinding, Node, ProbeResult } from '@swarmd/model';
import { nodeFinding } from './compare.js';
import type { ProbePlan } from './pairs.js';

/** Ways that are named one by one. */
const MAX_NAMED = 20;

/** What came of the probes between nodes. */
export interface ProbeOutcome {
  plan: readonly ProbePlan[];
  /** Who took part, by ID: others say nothing of the ways to and from them. */
  nodes: ReadonlyMap<string, Node>;
  /** By receiver: the nodes that were heard there. */
  heard: ReadonlyMap<string, ReadonlySet<string>>;
  /** By receiver, where it is known: the nodes whose datagrams got to its host, heard or not. */
  arrived?: ReadonlyMap<string, ReadonlySet<string>>;
  /** By receiver: firewalls of its host that keep something out, and what lets it in. */
  walls?: ReadonlyMap<string, NonNullable<ProbeResult['walls']>>;
  /** By sender, then receiver. */
  pings: ReadonlyMap<string, ReadonlyMap<string, Pick<NonNullable<ProbeResult['pings']>[number], 'small' | 'full'>>>;
  /** UDP. */
  port: number;
  /** Bytes of the full packets, by sender. */
  packetBytes: ReadonlyMap<string, number>;
}

/** What probes came to. */
export interface ProbeReport {
  findings: DoctorFinding[];
  sent: number;
  heard: number;
  /** Nodes of which it is known by trial what their own firewalls let in: how their rules read says nothing more. */
  tried: ReadonlySet<string>;
}

/** Ways that are not open, each fault once: at its receiver or its sender where nothing gets through there. Pure. */
export function probeFindings(outcome: ProbeOutcome): ProbeReport {
  const { nodes, heard, port } = outcome;
  const ways = waysOf(outcome);
  const lost = new Set(ways.filter(({ from, to }) => !heard.get(to)!.has(from)));
  const [deaf, mute] = [allLost(ways, lost, 'to'), allLost(ways, lost, 'from')];
  const findings: DoctorFinding[] = [];
  for (const id of deaf) {
    const from = ways.filter(({ to }) => to === id).map((way) => way.from);
    findings.push(closedPort(outcome, id, from, 'other nodes send', ', and so nothing for its containers'));
  }
  for (const id of mute) {
    // Where nobody hears anything, that says it all.
    if (ways.every(({ from, to }) => from !== id || deaf.has(to))) continue;
    const what = `nothing that it sends to UDP port ${port} of other nodes arrives, and so nothing from its containers`;
    findings.push(
      nodeFinding(nodes.get(id)!, 'error', 'vxlan', what, `let UDP port ${port} out of that host and its network`),
    );
  }
  const single = [...lost].filter(({ from, to }) => !deaf.has(to) && !mute.has(from));
  for (const { from, to } of single.slice(0, MAX_NAMED)) {
    findings.push(closedPort(outcome, to, [from], `node ${nameOf(nodes.get(from)!)} sends`));
  }
  if (single.length > MAX_NAMED) {
    const what = `and ${single.length - MAX_NAMED} more ways between nodes are not open for UDP port ${port}`;
    findings.push({ Level: 'error', Code: 'vxlan', What: what, Do: '', NodeID: '', Hostname: '' });
  }
  const closed = new Set([...lost].map(({ to }) => to));
  const tried = new Set(ways.map(({ to }) => to).filter((id) => !closed.has(id) || outcome.walls?.get(id)?.length));
  return {
    findings: [...findings, ...sizeFindings(outcome)],
    sent: ways.length,
    heard: ways.length - lost.size,
    tried,
  };
}

interface Way {
  from: string;
  to: string;
}

/** Those between nodes that took part. */
function waysOf({ plan, nodes, heard }: ProbeOutcome): Way[] {
  return plan
    .filter(({ from }) => nodes.has(from))
    .flatMap(({ from, to }) => to.filter((id) => nodes.has(id) && heard.has(id)).map((id) => ({ from, to: id })));
}

/** Nodes at whose end (`from` or `to`) all ways are lost, and more than one was tried or there is no other. */
function allLost(ways: readonly Way[], lost: ReadonlySet<Way>, end: keyof Way): Set<string> {
  const open = new Set(ways.filter((way) => !lost.has(way)).map((way) => way[end]));
  return new Set([...lost].map((way) => way[end]).filter((id) => !open.has(id)));
}

function sizeFindings({ nodes, pings, packetBytes }: ProbeOutcome): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  for (const [from, targets] of pings) {
    const narrow = [...targets].filter(([to, { small, full }]) => nodes.has(to) && small && !full).map(([to]) => to);
    if (narrow.length === 0) continue;
    const names = narrow.slice(0, 3).map((to) => nameOf(nodes.get(to)!));
    const others = narrow.length > 3 ? ` and ${narrow.length - 3} more` : '';
    const what = `packets of ${packetBytes.get(from)} bytes do not get whole from it to ${names.join(', ')}${others}: large ones between containers are lost or cut`;
    const advice =
      'let ICMP through and raise the MTU between the hosts, or make networks anew with a smaller one (--opt com.docker.network.driver.mtu)';
    findings.push(nodeFinding(nodes.get(from)!, 'warning', 'mtu', what, advice));
  }
  return findings;
}

/** A port that does not let in what `from` send: at the host's own firewall where that is known to keep it out. */
function closedPort(
  { nodes, port, arrived, walls }: ProbeOutcome,
  id: string,
  from: readonly string[],
  sent: string,
  consequence = '',
): DoctorFinding {
  const finding = (what: string, advice: string): DoctorFinding =>
    nodeFinding(nodes.get(id)!, 'error', 'vxlan', what, advice);
  const nothing = `nothing that ${sent} to its UDP port ${port} arrives${consequence}`;
  const there = arrived?.get(id);
  if (there === undefined)
    return finding(nothing, `open UDP port ${port} in that host's firewall, and in the network between the nodes`);
  if (!from.some((one) => there.has(one))) {
    const advice = `open UDP port ${port} in the network between the nodes: it does not get as far as that host's own firewall (the provider's security group, a router, the sender's firewall)`;
    return finding(nothing, advice);
  }
  const names = walls?.get(id) ?? [];
  const by = names.length > 0 ? names.map(({ name }) => name).join(' and ') : 'a firewall';
  return finding(
    `what ${sent} to its UDP port ${port} gets to that host, and ${by} ${names.length > 1 ? 'drop' : 'drops'} it there${consequence}`,
    names.length > 0
      ? `on that host: ${names.map(({ command }) => command).join(' && ')}`
      : `let UDP port ${port} in on that host: nft list ruleset and iptables-legacy -S there say what drops it`,
  );
}

function nameOf({ ID, Description }: Node): string {
  return Description?.Hostname || ID;
}
