import os from 'node:os';
import {
  type ApiObject,
  type Control,
  certificateStage,
  isErrorCode,
  type LocalNodeInfo,
  VERSIONS,
} from '@swarmd/model';
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { API_VERSION, MIN_API_VERSION } from '../http/versions.js';

/** A ping waits this long for the engine: long for one that works, short for the user of one that hangs. */
const PING_PATIENCE_MS = 250;

/** `/_ping`, `/version` and `/info`: the engine's answers with our part put in; without an engine, our part alone. */
export async function systemRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const { engine, membership } = context;

  app.get('/_ping', async (_request, reply) => {
    // Every command of the docker CLI begins with a ping: the right moment to notice that the engine was replaced.
    const facts = await engine.refresh(PING_PATIENCE_MS);
    reply.header('Swarm', swarmHeader(membership.info()));
    reply.header('Cache-Control', 'no-cache, no-store, must-revalidate').header('Pragma', 'no-cache');
    if (facts.builderVersion) reply.header('Builder-Version', facts.builderVersion);
    return reply.type('text/plain; charset=utf-8').send('OK');
  });

  app.get('/version', async () => {
    const engineVersion = await engineObject(context, '/version');
    const answer: Record<string, unknown> = { ...versionWithoutEngine(), ...engineVersion };
    const Components = [...((answer['Components'] as object[] | null | undefined) ?? []), swarmdComponent()];
    return { ...answer, Components, ApiVersion: API_VERSION, MinAPIVersion: MIN_API_VERSION };
  });

  app.get('/info', async () => {
    const info = await engineObject(context, '/info');
    const { Swarm, warnings } = await swarmInfo(context);
    const answer: Record<string, unknown> = { ...(info ?? infoWithoutEngine(engine.socketPath)), Swarm };
    // The docker CLI shows the engine's warnings alone.
    if (warnings.length > 0)
      answer['Warnings'] = [...((answer['Warnings'] as string[] | null | undefined) ?? []), ...warnings];
    return answer;
  });
}

function swarmHeader({ LocalNodeState, ControlAvailable }: LocalNodeInfo): string {
  if (LocalNodeState !== 'active') return LocalNodeState;
  return ControlAvailable ? 'active/manager' : 'active/worker';
}

async function engineObject(
  { engine, logger }: ApiContext,
  path: string,
): Promise<Record<string, unknown> | undefined> {
  try {
    const { status, body } = await engine.json('GET', path);
    if (status === 200) return body as Record<string, unknown>;
    logger.warn({ status, path }, 'the engine refuses a request');
  } catch (thrown) {
    if (!isErrorCode(thrown, 'unavailable')) throw thrown;
    logger.warn({ err: thrown, path }, 'answering without the engine');
  }
  return undefined;
}

/** The `Swarm` part of `/info`, and what is to be warned of. The cluster comes without its join tokens. */
async function swarmInfo({ membership }: ApiContext): Promise<{ Swarm: LocalNodeInfo; warnings: string[] }> {
  const info = membership.info();
  const control = membership.control();
  if (control === undefined) return { Swarm: info, warnings: info.Warnings ?? [] };
  const nodes = await control.listNodes({});
  const managers = nodes.filter((node) => (node['Spec'] as { Role?: string }).Role === 'manager');
  const cluster = await clusterWithoutTokens(control);
  const Swarm = { ...info, Nodes: nodes.length, Managers: managers.length, ...(cluster ? { Cluster: cluster } : {}) };
  const warnings = [
    ...(info.Warnings ?? []),
    ...certificateWarnings(nodes, Date.now()),
    ...dataKeyWarnings(cluster?.['DataKeyRotation']),
    ...networkWarnings(await control.listNetworks({})),
  ];
  return { Swarm: { ...Swarm, ...(warnings.length > 0 ? { Warnings: warnings } : {}) }, warnings };
}

/** The most nodes or networks that `/info` warns of one by one. */
const MAX_WARNINGS = 10;

/** What `/info` says of nodes whose certificates run out without having been renewed. */
function certificateWarnings(nodes: readonly ApiObject[], nowMs: number): string[] {
  const warnings = nodes.flatMap((node): string[] => {
    const certificate = node['Certificate'] as { NotBefore: string; NotAfter: string } | undefined;
    const stage = certificate === undefined ? 'fresh' : certificateStage(certificate, nowMs).stage;
    if (certificate === undefined || stage === 'fresh') return [];
    const name = (node['Description'] as { Hostname?: string } | undefined)?.Hostname || String(node['ID']);
    const when = `${stage === 'expired' ? 'has expired' : 'expires soon and was not renewed'}: ${certificate.NotAfter}`;
    return [`the certificate of node ${name} ${when}`];
  });
  const more = warnings.length - MAX_WARNINGS;
  return more <= 0 ? warnings : [...warnings.slice(0, MAX_WARNINGS), `and those of ${more} more nodes`];
}

/** What `/info` says of managers that the replacement of the data key waits for, and that cannot be reached. */
function dataKeyWarnings(rotation: unknown): string[] {
  const { WaitingFor = [] } = (rotation ?? {}) as {
    WaitingFor?: { NodeID: string; Hostname: string; Reachability: string }[];
  };
  const away = WaitingFor.filter(({ Reachability }) => Reachability !== 'reachable');
  if (away.length === 0) return [];
  const names = away.map(({ NodeID, Hostname }) => Hostname || NodeID).join(', ');
  return [`the data key is being replaced, which waits for managers that are down: start or demote ${names}`];
}

/** What `/info` says of networks whose addresses run out. */
function networkWarnings(networks: readonly ApiObject[]): string[] {
  const warnings = networks.flatMap(({ Status }) => (Status as { Warnings?: string[] } | undefined)?.Warnings ?? []);
  const more = warnings.length - MAX_WARNINGS;
  return more <= 0 ? warnings : [...warnings.slice(0, MAX_WARNINGS), `and ${more} more networks are nearly full`];
}

async function clusterWithoutTokens(control: Control): Promise<ApiObject | undefined> {
  try {
    const { JoinTokens: _, ...cluster } = await control.getCluster();
    return cluster;
  } catch (thrown) {
    // A manager that has just come up may serve before it has the cluster's object.
    if (isErrorCode(thrown, 'not-found')) return undefined;
    throw thrown;
  }
}

/** Our line among the components that `docker version` shows. */
function swarmdComponent(): object {
  const { swarmd, protocol, stateFormat } = VERSIONS;
  const Details = { Protocol: `${protocol.min}-${protocol.max}`, StateFormat: String(stateFormat) };
  return { Name: 'swarmd', Version: swarmd, Details };
}

function versionWithoutEngine(): Record<string, unknown> {
  return { Platform: { Name: '' }, Version: 'unknown', Os: 'linux', Arch: os.arch(), KernelVersion: os.release() };
}

function infoWithoutEngine(socketPath: string): Record<string, unknown> {
  return {
    Name: os.hostname(),
    NCPU: os.cpus().length,
    MemTotal: os.totalmem(),
    OSType: 'linux',
    Architecture: os.machine(),
    KernelVersion: os.release(),
    ServerErrors: [`the Docker engine at ${socketPath} does not answer`],
  };
}
