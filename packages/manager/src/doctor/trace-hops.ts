import type { ProbeResult, ServiceEndpoints, TraceEnd, TraceHop } from '@swarmd/model';

/** An answer, or why there is none. */
export type Tried<T> = { found: T } | { failed: string };

/** A way to one address, as it was tried from the source's node and looked at on the other. */
export interface Way {
  /** Of whom, for people. */
  name: string;
  address: string;
  hostname: string;
  /** Data path address of its node; empty when nobody knows. */
  nodeAddr: string;
  sameNode: boolean;
  reach: Tried<ProbeResult>;
  /** What the other node's kernel knows of the way back; absent where both are on one node. */
  reply?: Tried<NonNullable<ProbeResult['forwarding']>>;
}

/** All that is known of a trace. Absent parts were not looked at, as they do not apply or what comes before is broken. */
export interface TraceFacts {
  source: TraceEnd;
  /** Why nothing can go out from there; empty when it can. */
  sourceProblem: string;
  /** Data path address of the source's node. */
  sourceAddr: string;
  destination: TraceEnd;
  /** The network that both are on. */
  shared?: { name: string };
  /** `expected`: what the name should lead to. */
  name?: { name: string; expected: readonly string[]; answers: Tried<NonNullable<ProbeResult['names']>> };
  endpoints?: ServiceEndpoints;
  /** The way to the service's virtual IP, where a port was named. */
  virtualIp?: { address: string; reach: Tried<ProbeResult> };
  ways: readonly Way[];
  port: number;
  /** What the source's node says of published ports. */
  problems?: Tried<readonly string[]>;
}

/** The hops of a trace, in the order of the way. Pure. */
export function traceHops(facts: TraceFacts): TraceHop[] {
  const hops = [sourceHop(facts), networkHop(facts)];
  if (hops.some(isBroken)) return hops;
  return [
    ...hops,
    ...nameHops(facts),
    ...backendHops(facts),
    ...facts.ways.flatMap((way) => wayHops(facts, way)),
    ...virtualIpHops(facts),
    ...publishedHops(facts),
  ];
}

const isBroken = ({ Result }: TraceHop): boolean => Result === 'broken';

function hop(Hop: TraceHop['Hop'], Result: TraceHop['Result'], What: string, Do = ''): TraceHop {
  return { Hop, Result, What, Do };
}

function sourceHop({ source: { Name, Hostname, Addresses }, sourceProblem }: TraceFacts): TraceHop {
  if (sourceProblem !== '')
    return hop('source', 'broken', `${Name}: ${sourceProblem}`, 'choose one that runs: swarmctl service ps');
  const on = Addresses.map(({ Network, Address }) => `${Address} on ${Network}`).join(', ');
  return hop('source', 'ok', `${Name} runs on ${Hostname}: ${on}`);
}

function networkHop({ source, destination, shared }: TraceFacts): TraceHop {
  if (shared !== undefined) return hop('network', 'ok', `both are on network ${shared.name}`);
  const names = (end: TraceEnd): string =>
    [...new Set(end.Addresses.map(({ Network }) => Network))].join(', ') || 'none';
  const what = `${source.Name} and ${destination.Name} share no network: the one is on ${names(source)}, the other on ${names(destination)}`;
  return hop(
    'network',
    'broken',
    what,
    'put both on one network: swarmctl service update --network-add NETWORK SERVICE',
  );
}

function nameHops({ name }: TraceFacts): TraceHop[] {
  if (name === undefined) return [];
  const { name: asked, expected, answers } = name;
  if ('failed' in answers)
    return [hop('name', 'skipped', `the name server could not be asked for ${asked}: ${answers.failed}`)];
  const hops: TraceHop[] = [];
  const same = (addresses: readonly string[]): boolean =>
    addresses.length === expected.length && expected.every((address) => addresses.includes(address));
  for (const { server, rcode, addresses } of answers.found) {
    const who =
      server === 'network' ? 'the network’s name server' : 'the container’s own resolver (127.0.0.11, of its engine)';
    const said = addresses.length > 0 ? addresses.join(', ') : rcode;
    if (rcode === 'NOERROR' && same(addresses)) hops.push(hop('name', 'ok', `${who} says ${asked} is ${said}`));
    else {
      const should = expected.length > 0 ? expected.join(', ') : 'no address';
      const what = `${who} says ${asked} is ${said}, and it should be ${should}`;
      hops.push(hop('name', 'broken', what, server === 'network' ? NAME_ADVICE : ENGINE_ADVICE));
    }
  }
  return hops;
}

const NAME_ADVICE = 'compare what that node knows with the others: swarmctl doctor --node NODE --repair';
const ENGINE_ADVICE =
  'the engine does not pass names on: engines 23.0.11, 25.0.5 and later and 26.0 to 26.1.2 do not for containers on internal networks alone; otherwise restart the container';

function backendHops({ endpoints }: TraceFacts): TraceHop[] {
  if (endpoints === undefined) return [];
  const { ServiceName, Tasks } = endpoints;
  const inside = Tasks.filter(({ Endpoint }) => Endpoint === 'in');
  if (inside.length > 0) {
    const out = Tasks.length - inside.length;
    return [
      hop('backend', 'ok', `${inside.length} tasks of ${ServiceName} serve${out > 0 ? `, and ${out} do not` : ''}`),
    ];
  }
  const why = Tasks.slice(0, 3).map(({ Name, Why }) => `${Name}: ${Why}`);
  const what = `no task of ${ServiceName} serves${why.length > 0 ? ` (${why.join('; ')})` : ''}: it is refused at once`;
  return [
    hop('backend', 'broken', what, `see why: swarmctl service endpoints ${ServiceName}, swarmctl why ${ServiceName}`),
  ];
}

function wayHops(facts: TraceFacts, way: Way): TraceHop[] {
  const { reach } = way;
  const to = `${way.name} (${way.address} on ${way.hostname || 'no known node'})`;
  if ('failed' in reach) return [hop('reach', 'skipped', `the way to ${to} could not be tried: ${reach.failed}`)];
  const forward = forwardingHop(facts.source.Hostname, to, way, reach.found.forwarding);
  if (isBroken(forward)) return [forward];
  const reply = replyHop(facts, way);
  return [forward, ...reply, reachHop(facts, way, to, reach.found)];
}

function forwardingHop(hostname: string, to: string, way: Way, found: ProbeResult['forwarding']): TraceHop {
  const doctor = `swarmctl doctor --node ${hostname} --repair`;
  if (found === undefined)
    return hop('forwarding', 'skipped', `what ${hostname} knows of the way to ${to} was not looked at`);
  if (!found.network) return hop('forwarding', 'broken', `${hostname} does not have the network in its kernel`, doctor);
  if (way.sameNode && found.local) return hop('forwarding', 'ok', `${to} is on the same node`);
  if (way.sameNode)
    return hop('forwarding', 'broken', `${to} should be on this node, and its container is not there`, doctor);
  if (found.mac === '')
    return hop(
      'forwarding',
      'broken',
      `${hostname} does not know who has ${way.address}: it has no neighbour entry`,
      doctor,
    );
  if (found.nodeAddr === '')
    return hop(
      'forwarding',
      'broken',
      `${hostname} has no forwarding entry for ${found.mac}, of ${way.address}`,
      doctor,
    );
  if (way.nodeAddr !== '' && found.nodeAddr !== way.nodeAddr) {
    const what = `${hostname} sends packets for ${way.address} to ${found.nodeAddr}, and its node is ${way.nodeAddr}`;
    return hop('forwarding', 'broken', what, doctor);
  }
  return hop('forwarding', 'ok', `${hostname} sends packets for ${to} to ${found.nodeAddr}`);
}

function replyHop({ source, sourceAddr, shared }: TraceFacts, { reply, hostname }: Way): TraceHop[] {
  if (reply === undefined) return [];
  const back = source.Addresses.find(({ Network }) => Network === shared?.name)?.Address ?? '';
  if ('failed' in reply)
    return [hop('reply', 'skipped', `what ${hostname} knows of the way back could not be asked: ${reply.failed}`)];
  const { network, nodeAddr } = reply.found;
  const doctor = `swarmctl doctor --node ${hostname} --repair`;
  if (!network) return [hop('reply', 'broken', `${hostname} does not have the network in its kernel`, doctor)];
  if (nodeAddr === sourceAddr) return [hop('reply', 'ok', `${hostname} sends replies for ${back} to ${nodeAddr}`)];
  const wrong = nodeAddr === '' ? 'to nobody' : `to ${nodeAddr}`;
  return [
    hop('reply', 'broken', `${hostname} sends replies for ${back} ${wrong}, and its node is ${sourceAddr}`, doctor),
  ];
}

function reachHop({ source, port }: TraceFacts, way: Way, to: string, { ping, connect }: ProbeResult): TraceHop {
  if (connect === 'open') return hop('reach', 'ok', `${to} takes connections on port ${port}`);
  if (connect === 'refused') {
    const what = `${to} refuses connections on port ${port}: packets get there, and nothing listens`;
    return hop(
      'reach',
      'broken',
      what,
      'look at the program: it must listen on 0.0.0.0, not only on 127.0.0.1, and on this port',
    );
  }
  if (connect === undefined && ping === undefined)
    return hop('reach', 'skipped', `nothing was sent to ${to}: there is no ping on that node`);
  if (connect === undefined && ping) return hop('reach', 'ok', `${to} answers pings`);
  if (connect !== undefined && ping) {
    const what = `${to} answers pings and no connection on port ${port} (${connect}): something in the container, or its own firewall, drops them`;
    return hop(
      'reach',
      'broken',
      what,
      'look at the rules in the container, and whether the program takes connections',
    );
  }
  const what = `nothing that ${source.Name} sends to ${to} is answered, though both nodes know the way`;
  if (way.sameNode)
    return hop('reach', 'broken', what, 'look at the container: is it paused, or does it drop packets?');
  return hop('reach', 'broken', what, 'see whether the nodes reach each other on the VXLAN port: swarmctl doctor');
}

function virtualIpHops({ virtualIp, port, source }: TraceFacts): TraceHop[] {
  if (virtualIp === undefined) return [];
  const { address, reach } = virtualIp;
  if ('failed' in reach)
    return [hop('virtual-ip', 'skipped', `the virtual IP ${address} could not be tried: ${reach.failed}`)];
  const { connect } = reach.found;
  if (connect === 'open')
    return [hop('virtual-ip', 'ok', `the virtual IP ${address} takes connections on port ${port}`)];
  const what = `the virtual IP ${address} does not take connections on port ${port}: ${connect ?? 'not tried'}`;
  return [
    hop(
      'virtual-ip',
      'broken',
      what,
      `where tasks take them, the rules of ${source.Hostname} are at fault: swarmctl doctor --node ${source.Hostname} --repair`,
    ),
  ];
}

function publishedHops({ endpoints, problems }: TraceFacts): TraceHop[] {
  const ports = (endpoints?.Ports ?? []).filter(({ PublishMode }) => PublishMode === 'ingress');
  if (ports.length === 0) return [];
  return ports.map(({ Protocol, PublishedPort, TargetPort }) => {
    const what = `port ${PublishedPort}/${Protocol} of every node leads to port ${TargetPort} of its tasks`;
    const said = problems !== undefined && 'found' in problems ? problems.found : [];
    const problem = said.find((sentence) => new RegExp(`\\b${PublishedPort}\\b`).test(sentence));
    return problem === undefined
      ? hop('published', 'ok', what)
      : hop('published', 'broken', problem, 'swarmctl doctor');
  });
}
