import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type LocalEndpoint, type Probe, type ProbeResult, SwarmdError } from '@swarmd/model';
import { type Run, runJson } from './command.js';
import type { InsideAnswer, InsideQuestion } from './inside.js';
import { localAt, type NetworkKnowledge } from './knowledge.js';

const CONNECT_TIMEOUT_MS = 2_000;
/** Where the engine answers names inside every container. */
const ENGINE_DNS = '127.0.0.11';
const VXLAN_DEVICE = 'vx0';

/** What these probes need. */
export interface ReachDependencies {
  knowledge: NetworkKnowledge;
  run: Run;
  /** Path of a network's namespace. */
  pathOf(networkId: string): string;
}

type Of<K extends Probe['do']> = Extract<Probe, { do: K }>;

/** Pings an address, and connects to it if a port is named, as the container that has the address `from`. */
export async function reach(deps: ReachDependencies, probe: Of<'reach'>, signal?: AbortSignal): Promise<ProbeResult> {
  const { networkId, from, to, port } = probe;
  checkAddress(to, 'to');
  const namespace = sandboxOf(deps, networkId, from);
  const argv = ['ping', '-n', '-q', '-c', '3', '-i', '0.2', '-W', '1', '-I', from, to];
  const [ping, connected, forwarding] = await Promise.all([
    deps.run(argv, { namespace, signal }),
    port === 0
      ? undefined
      : askInside(deps.run, namespace, { do: 'connect', from, to, port, timeoutMs: CONNECT_TIMEOUT_MS }, signal),
    readForwarding(deps, networkId, to, signal),
  ]);
  return {
    // 1 is "no answer"; anything else is no ping at all.
    ...(ping.code === 0 || ping.code === 1 ? { ping: ping.code === 0 } : {}),
    ...(connected?.connect === undefined ? {} : { connect: connected.connect }),
    forwarding,
  };
}

/** What the name servers say to the container that has the address `from`. */
export async function resolveNames(
  deps: ReachDependencies,
  probe: Of<'resolve'>,
  signal?: AbortSignal,
): Promise<ProbeResult> {
  const { networkId, from, name } = probe;
  const namespace = sandboxOf(deps, networkId, from);
  const gateway = deps.knowledge
    .networks()
    .get(networkId)
    ?.subnets.find((subnet) => isIP(subnet.gateway) === 4)?.gateway;
  const servers = [
    ...(gateway === undefined ? [] : [{ server: 'network', address: gateway } as const]),
    { server: 'engine', address: ENGINE_DNS } as const,
  ];
  const { names = [] } = await askInside(deps.run, namespace, { do: 'resolve', from, name, servers }, signal);
  return { names };
}

/** What the kernel knows of the way to an address on a network of this node. */
export async function readForwarding(
  { knowledge, run, pathOf }: ReachDependencies,
  networkId: string,
  to: string,
  signal?: AbortSignal,
): Promise<NonNullable<ProbeResult['forwarding']>> {
  const nothing = { network: knowledge.networks().has(networkId), local: false, mac: '', nodeAddr: '' };
  if (!nothing.network) return nothing;
  if (localAt(knowledge, networkId, to) !== undefined) return { ...nothing, local: true };
  const options = { namespace: pathOf(networkId), signal };
  const [neighbours, entries] = await Promise.all([
    runJson<{ dst: string; lladdr?: string }[]>(run, ['ip', '-j', 'neigh', 'show', 'dev', VXLAN_DEVICE], options),
    runJson<{ mac: string; dst?: string }[]>(run, ['bridge', '-j', 'fdb', 'show', 'dev', VXLAN_DEVICE], options),
  ]);
  if (neighbours === undefined || entries === undefined) return { ...nothing, network: false };
  const mac = neighbours.find(({ dst }) => dst === to)?.lladdr ?? '';
  return {
    ...nothing,
    mac,
    nodeAddr: entries.find((entry) => entry.mac === mac && entry.dst !== undefined)?.dst ?? '',
  };
}

function sandboxOf({ knowledge }: ReachDependencies, networkId: string, from: string): string {
  const local: LocalEndpoint | undefined = localAt(knowledge, networkId, from);
  if (local === undefined || local.sandbox === '')
    throw new SwarmdError('not-found', `no container of this node has the address ${from} on the network`);
  return local.sandbox;
}

async function askInside(
  run: Run,
  namespace: string,
  question: InsideQuestion,
  signal: AbortSignal | undefined,
): Promise<InsideAnswer> {
  const program = fileURLToPath(new URL('./inside-main.js', import.meta.url));
  const { code, stdout, stderr } = await run([process.execPath, program, JSON.stringify(question)], {
    namespace,
    signal,
  });
  if (code === 0) return JSON.parse(stdout) as InsideAnswer;
  throw new SwarmdError('unavailable', `nothing could be tried inside ${namespace}: ${stderr.trim().split('\n')[0]}`);
}

function checkAddress(address: string, field: string): void {
  if (isIP(address) === 0)
    throw new SwarmdError('invalid-argument', `${JSON.stringify(address)} is no IP address`, { field });
}
