import { X509Certificate } from 'node:crypto';
import { quorumMargin, reachablePeers } from '@swarmd/etcd';
import { createGrpcTransport } from '@swarmd/manager';
import { CLUSTER_KEY, type ClusterCheck, type ManagerCheck, type NodeCheck, type ReadView } from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import type { StoreHost } from '../manager/store-host.js';
import { type Certificates, findingsOf } from './findings.js';
import { type OwnCheck, parseOwnCheck } from './own.js';

/** A manager may take this long to answer. */
const ASK_TIMEOUT_MS = 6_000;
const PEERS_TIMEOUT_MS = 3_000;

/** What {@link checkCluster} needs. */
export interface CheckDependencies {
  identity: IdentityHolder;
  /** `undefined` while this manager waits for a quorum. */
  host: StoreHost | undefined;
  own: OwnCheck;
  /** Where this manager is reached. */
  ownAddr: string;
  /** Managers that this node knows, `host:port`: all there is to go by without a store. */
  managers: readonly string[];
  now(): number;
}

interface Asked {
  manager: ManagerCheck;
  sessions: OwnCheck['Sessions'];
}

/** The cluster's health, as this manager finds it: it asks the others. */
export async function checkCluster(deps: CheckDependencies): Promise<ClusterCheck> {
  const { host, own, ownAddr, now } = deps;
  const view = host?.store.view;
  const transport = createGrpcTransport(deps.identity);
  try {
    const others = knownManagers(view, deps).map((known) => askManager(transport, known, now));
    const self = { manager: answered({ ...known(own), Addr: ownAddr }, own, 0, 0), sessions: own.Sessions };
    const asked = [self, ...(await Promise.all(others))];
    const checked = {
      Quorum: await quorumOf(host, asked),
      RootCertificateNotAfter: rootNotAfter(view),
      Managers: asked.map(({ manager }) => manager),
      Nodes: view === undefined ? [] : nodesOf(view, asked),
    };
    const findings = findingsOf(checked, certificatesOf(view), now());
    return { ...checked, Findings: findings, Healthy: findings.every(({ Level }) => Level === 'note') };
  } finally {
    transport.close();
  }
}

type Known = Pick<ManagerCheck, 'NodeID' | 'Hostname' | 'Addr'>;

const known = ({ NodeID, Hostname }: Pick<Known, 'NodeID' | 'Hostname'>) => ({ NodeID, Hostname });

function knownManagers(view: ReadView | undefined, { own, managers, ownAddr }: CheckDependencies): Known[] {
  if (view === undefined)
    return managers.filter((addr) => addr !== ownAddr).map((Addr) => ({ NodeID: '', Hostname: '', Addr }));
  return [...view.all('node')]
    .filter(({ ID, Spec }) => Spec.Role === 'manager' && ID !== own.NodeID)
    .map(({ ID, Description, ManagerStatus }) => ({
      ...{ NodeID: ID, Hostname: Description?.Hostname ?? ID, Addr: ManagerStatus?.Addr ?? '' },
    }));
}

async function askManager(
  transport: ReturnType<typeof createGrpcTransport>,
  about: Known,
  now: () => number,
): Promise<Asked> {
  const silent = { manager: { ...about, Answers: false }, sessions: [] };
  if (about.Addr === '') return silent;
  const sentMs = now();
  try {
    const answer = parseOwnCheck(await transport.ask(about.Addr, 'check.own', {}, { timeoutMs: ASK_TIMEOUT_MS }));
    const receivedMs = now();
    return {
      manager: answered({ ...about, ...known(answer) }, answer, sentMs, receivedMs),
      sessions: answer.Sessions,
    };
  } catch {
    return silent;
  }
}

/** The other's clock was read just before it answered: between the middle of the way and its end. */
function answered(
  about: Known,
  { SwarmdVersion, Protocol, ClockMs, Etcd }: OwnCheck,
  sentMs: number,
  receivedMs: number,
) {
  const isSelf = receivedMs === 0;
  return {
    ...about,
    Answers: true,
    ...{ SwarmdVersion, Protocol },
    ClockAheadMs: isSelf ? 0 : Math.round(ClockMs - (sentMs + receivedMs) / 2),
    RoundTripMs: receivedMs - sentMs,
    ...(Etcd === undefined ? {} : { Etcd }),
  };
}

async function quorumOf(host: StoreHost | undefined, asked: readonly Asked[]): Promise<ClusterCheck['Quorum']> {
  const capital = ({ voters, healthy, quorum, margin }: ReturnType<typeof quorumMargin>) => {
    return { Voters: voters, Healthy: healthy, Quorum: quorum, Margin: margin };
  };
  if (host?.isExternal) {
    // Managers have no votes there: any of them will do.
    const there = asked.filter(({ manager }) => manager.Answers).length;
    return { Voters: asked.length, Healthy: there, Quorum: 1, Margin: there - 1 };
  }
  if (host !== undefined && host.etcd === undefined) return { Voters: 1, Healthy: 1, Quorum: 1, Margin: 0 };
  try {
    const signal = AbortSignal.timeout(PEERS_TIMEOUT_MS);
    const { members: admin, process } = host!.etcd!;
    const members = await admin!.memberList(signal);
    return capital(quorumMargin(members, new Set((await reachablePeers(members, process!.clientTls, signal)).keys())));
  } catch {
    // Without etcd's own list, the managers that are known stand for its members; this one waits for the others.
    const healthy = asked.filter(({ manager }) => manager.Answers).length;
    const quorum = Math.floor(asked.length / 2) + 1;
    const counted = Math.min(healthy, quorum - 1);
    return { Voters: asked.length, Healthy: counted, Quorum: quorum, Margin: counted - quorum };
  }
}

function nodesOf(view: ReadView, asked: readonly Asked[]): NodeCheck[] {
  const sessions = new Map(asked.flatMap((manager) => manager.sessions).map((session) => [session.nodeId, session]));
  return [...view.all('node')].map(({ ID, Description, Status, Certificate }) => {
    const { swarmdVersion, clockAheadMs } = sessions.get(ID) ?? {};
    return {
      NodeID: ID,
      Hostname: Description?.Hostname ?? '',
      State: Status.State,
      EngineVersion: Description?.Engine.EngineVersion ?? '',
      ...(swarmdVersion === undefined ? {} : { SwarmdVersion: swarmdVersion }),
      ...(clockAheadMs === undefined ? {} : { ClockAheadMs: clockAheadMs }),
      ...(Certificate === undefined ? {} : { CertificateNotAfter: Certificate.NotAfter }),
    };
  });
}

function certificatesOf(view: ReadView | undefined): Certificates {
  return new Map(
    [...(view?.all('node') ?? [])].flatMap(({ ID, Certificate }) => (Certificate ? [[ID, Certificate]] : [])),
  );
}

function rootNotAfter(view: ReadView | undefined): string {
  const certificate = view?.get('cluster', CLUSTER_KEY)?.RootCA.Certificate;
  return certificate === undefined ? '' : new Date(new X509Certificate(certificate).validTo).toISOString();
}
