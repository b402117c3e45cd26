import {
  type AuditOptions,
  type Clock,
  linesDigest,
  memberLines,
  type NetworkAudit,
  type NetworkAudits,
  type NetworkFinding,
  type NodeNetwork,
  type ProbeResult,
  SwarmdError,
} from '@swarmd/model';
import type { LocalPort, NameServer, NetworkPlane } from '../parts.js';
import type { Run } from './command.js';
import { readHostFacts } from './host-facts.js';
import { hostFindings } from './host-findings.js';
import type { NetworkKnowledge } from './knowledge.js';
import { createProbeListeners, type Heard } from './listeners.js';
import { reach, readForwarding, resolveNames } from './reach.js';
import { pingTargets, sendProbes } from './send.js';
import { readWalls } from './walls.js';

const MAX_NAMED = 20;

/** What an {@link Auditor} needs. */
export interface AuditorDependencies {
  knowledge: NetworkKnowledge;
  plane: Pick<NetworkPlane, 'audit'>;
  names: Pick<NameServer, 'audit'>;
  /** Looks at published ports at once, and mends them. */
  check(): Promise<void>;
  /** What stands in the way of published ports, for people. */
  problems(): readonly string[];
  pathOf(networkId: string): string;
  /** The engine's derived MAC address of a container's addresses. */
  portsOf(networkId: string): readonly LocalPort[];
  isOurs(device: string): boolean;
  run: Run;
  clock: Clock;
  about: { protocol: number; version: string };
}

/** Looks at this node's networks for people who look for a fault. */
export interface Auditor extends NetworkAudits {
  close(): Promise<void>;
}

/** An {@link Auditor}. */
export function createAuditor(deps: AuditorDependencies): Auditor {
  const { knowledge, run, clock } = deps;
  const listeners = createProbeListeners(run, clock);
  const ownAddress = (): string => {
    const addr = knowledge.config()?.addr;
    if (addr === undefined) throw new SwarmdError('failed-precondition', 'this node takes no part in overlays');
    return addr;
  };
  return {
    audit: (options, signal) => audit(deps, options, signal),
    members: async (networkId) => {
      if (!knowledge.networks().has(networkId))
        throw new SwarmdError('not-found', `this node does not have network ${networkId}`);
      return linesOf(knowledge, networkId);
    },
    probe: async (probe, signal) => {
      switch (probe.do) {
        case 'listen':
          await listeners.listen(probe.token, probe.port, probe.forMs);
          return {};
        case 'heard':
          return heard(deps, await listeners.heard(probe.token), signal);
        case 'send': {
          await sendProbes(ownAddress(), probe.token, probe.port, probe.targets);
          const pings = await pingTargets(run, ownAddress(), probe.targets, signal);
          return pings === undefined ? {} : { pings };
        }
        case 'reach':
          return reach(deps, probe, signal);
        case 'resolve':
          return resolveNames(deps, probe, signal);
        case 'forwarding':
          return { forwarding: await readForwarding(deps, probe.networkId, probe.to, signal) };
      }
    },
    close: () => listeners.close(),
  };
}

/** Firewalls are named where they have kept something out. */
async function heard(
  { knowledge, run }: AuditorDependencies,
  sources: Heard,
  signal: AbortSignal | undefined,
): Promise<ProbeResult> {
  const config = knowledge.config();
  if (config === undefined || sources.arrived.every((addr) => sources.heard.includes(addr))) return { ...sources };
  const walls = await readWalls(run, config, signal);
  return { ...sources, walls: walls.map(({ name, command }) => ({ name, command })) };
}

async function audit(
  deps: AuditorDependencies,
  { repair }: AuditOptions,
  signal: AbortSignal | undefined,
): Promise<NetworkAudit> {
  const { knowledge, clock } = deps;
  const config = knowledge.config();
  const networks = [...knowledge.networks().values()];
  const facts = await readHostFacts(deps.run, config, signal);
  const findings = hostFindings(facts, { config, networks, isOurs: deps.isOurs });
  // What fails is among the problems.
  if (repair) await deps.check().catch(() => {});
  for (const What of deps.problems()) findings.push({ Level: 'warning', Code: 'problem', What, Do: '' });
  for (const network of networks) {
    signal?.throwIfAborted();
    findings.push(...(await auditNetwork(deps, network, repair)));
  }
  const peers = [...(config?.peers ?? [])].sort();
  return {
    ...deps.about,
    ...(config === undefined
      ? {}
      : { dataPath: { addr: config.addr, port: config.port, peers: peers.length, peersDigest: linesDigest(peers) } }),
    networks: networks.map(({ id, vni, mtu, subnets }) => {
      const members = knowledge.members(id);
      const counts = { endpoints: members?.endpoints.size ?? 0, services: members?.services.size ?? 0 };
      const digest = linesDigest(linesOf(knowledge, id));
      return { id, vni, mtu, subnets: subnets.map(({ subnet }) => subnet), ...counts, digest };
    }),
    locals: [...knowledge.locals().values()].flatMap(({ networkId, addresses, taskId }) =>
      addresses.slice(0, 1).map((address) => ({ networkId, address, taskId })),
    ),
    findings,
    // Last, so that it is as of the answer.
    clockMs: clock.now(),
  };
}

async function auditNetwork(
  { knowledge, plane, names, portsOf }: AuditorDependencies,
  network: NodeNetwork,
  repair: boolean,
): Promise<NetworkFinding[]> {
  const members = knowledge.members(network.id) ?? { endpoints: new Map(), services: new Map() };
  try {
    const differences = await plane.audit(network, members, portsOf(network.id), repair);
    // After what was mended in the kernel, where its sockets are.
    differences.push(...(await names.audit(network, repair)));
    const named = differences.slice(0, MAX_NAMED).map((what): NetworkFinding => {
      const What = `network ${network.name}: ${what}`;
      return repair
        ? { Level: 'note', Code: 'kernel', What: `${What} (mended)`, Do: '' }
        : { Level: 'error', Code: 'kernel', What, Do: 'swarmctl doctor --repair' };
    });
    const more = differences.length - named.length;
    if (more <= 0) return named;
    return [
      ...named,
      { Level: 'note', Code: 'kernel', What: `network ${network.name}: and ${more} more of the kind`, Do: '' },
    ];
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [
      {
        Level: 'error',
        Code: 'kernel',
        What: `network ${network.name} could not be looked at: ${reason}`,
        Do: 'see the log of swarmd-net on that node',
      },
    ];
  }
}

function linesOf(knowledge: NetworkKnowledge, networkId: string): string[] {
  const members = knowledge.members(networkId);
  if (members === undefined) return [];
  return memberLines(members.endpoints.values(), members.services.values(), members.blocks?.values() ?? []);
}
