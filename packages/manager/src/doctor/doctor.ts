import {
  type Clock,
  type DoctorFinding,
  type DoctorOptions,
  type DoctorReport,
  isErrorCode,
  NETWORK_INQUIRIES,
  NetworkAuditSchema,
  NetworkMembersSchema,
  type Node,
  pause,
  type Random,
  type Store,
  SwarmdError,
  withDeadline,
} from '@swarmd/model';
import { resolve } from '../control/references.js';
import type { AskNode } from '../dispatcher/ask-node.js';
import { eachAtOnce } from './at-once.js';
import { type Answer, compareNode, differenceFinding, differingLines, nodeFinding } from './compare.js';
import { type ExpectedNode, expectedNodes } from './expected.js';
import { sampled } from './pairs.js';
import { type Answering, probeContainers, probeWays } from './probing.js';

/** An audit that mends may take a while on a node with many networks. */
const AUDIT_TIMEOUT_MS = 60_000;
/** What a node was told is looked at again after each of these: news may be on the way. */
const SETTLE_MS = [500, 2_000] as const;
/** All in all. */
const DOCTOR_TIMEOUT_MS = 5 * 60_000;

/** What the doctor needs. */
export interface DoctorDependencies {
  store: Pick<Store, 'view'>;
  ask: AskNode;
  clock: Clock;
  random: Random;
}

interface Asked {
  expected: ExpectedNode;
  /** Absent when it could not be had. */
  audit?: Answer['audit'];
  findings: DoctorFinding[];
  /** IDs of networks of which the node was told something else than the store says. */
  differing: string[];
}

/**
 * Asks nodes how their networks are, compares that with the store, and has nodes try out the ways between them. Nodes that
 * cannot be asked are findings. Rejects with `not-found` for an unknown node, `deadline-exceeded`, or the signal's reason.
 */
export function examine(deps: DoctorDependencies, options: DoctorOptions, signal: AbortSignal): Promise<DoctorReport> {
  return withDeadline(deps.clock, DOCTOR_TIMEOUT_MS, signal, (bounded) => examineNodes(deps, options, bounded));
}

async function examineNodes(
  deps: DoctorDependencies,
  { node, repair }: DoctorOptions,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const { store, random } = deps;
  const all = [...store.view.all('node')];
  const about = node === undefined ? undefined : resolve(store.view, 'node', node);
  const isMeant = ({ ID }: Node): boolean => about === undefined || about.ID === ID;
  // Of one node the ways to and from some others are tried: those are asked too, and not spoken of.
  const others =
    about &&
    sampled(
      all.filter((one) => !isMeant(one) && one.Status.State === 'ready'),
      () => random.float(),
    );
  const expected = expectedNodes(store.view, others === undefined ? all : [about!, ...others]);
  const asked = await eachAtOnce(expected, (of) => askNode(deps, of, repair && isMeant(of.node), signal));
  const meant = asked.filter((one) => isMeant(one.expected.node));
  const answering = asked.flatMap(({ expected: of, audit }): Answering[] =>
    audit === undefined || audit.protocol === 0 ? [] : [{ expected: of, audit }],
  );
  const ways = await probeWays(deps, answering, about?.ID, signal);
  const findings = [
    ...meant
      .flatMap((one) => one.findings)
      .filter(({ Code, NodeID }) => Code !== 'firewall' || !ways.tried.has(NodeID)),
    ...(await stayingDifferences(deps, meant, signal)),
    ...ways.findings,
    ...(await probeContainers(deps, answering, about?.ID, signal)),
  ];
  signal.throwIfAborted();
  return report(meant, findings, ways);
}

async function askNode(
  { ask, clock }: DoctorDependencies,
  expected: ExpectedNode,
  repair: boolean,
  signal: AbortSignal,
): Promise<Asked> {
  const { node } = expected;
  const silent = (why: string): Asked => {
    const finding = nodeFinding(
      node,
      'warning',
      'node',
      `it cannot be asked: ${why}`,
      'look at swarmd there: systemctl status swarmd',
    );
    return { expected, findings: [finding], differing: [] };
  };
  if (node.Status.State === 'down') return silent(`it is down${node.Status.Message ? `: ${node.Status.Message}` : ''}`);
  let sentMs = clock.now();
  const onTurn = (): void => {
    sentMs = clock.now();
  };
  try {
    const answer = await ask(
      node.ID,
      NETWORK_INQUIRIES.audit,
      { repair },
      { signal, timeoutMs: AUDIT_TIMEOUT_MS, onTurn },
    );
    const receivedMs = clock.now();
    const audit = NetworkAuditSchema.parse(answer);
    return { expected, audit, ...compareNode(expected, { audit, sentMs, receivedMs }) };
  } catch (thrown) {
    signal.throwIfAborted();
    if (isErrorCode(thrown, 'unimplemented')) return silent('its swarmd is too old for that');
    return silent(thrown instanceof SwarmdError ? thrown.message : 'it gave an answer that makes no sense');
  }
}

/** Where a node knows something else of a network than all were told, and goes on doing so. */
async function stayingDifferences(
  { store, ask, clock }: DoctorDependencies,
  asked: readonly Asked[],
  signal: AbortSignal,
): Promise<DoctorFinding[]> {
  let open = asked.flatMap(({ expected: { node }, differing }) =>
    differing.map((networkId) => ({ node, networkId, lines: undefined as string[] | undefined })),
  );
  for (const ms of SETTLE_MS) {
    if (open.length === 0) break;
    await pause(clock, ms, signal);
    const known = await eachAtOnce(open, ({ node, networkId }) => askMembers(ask, node.ID, networkId, signal));
    signal.throwIfAborted();
    // As of after they answered: what is still on its way differs in other lines the next time.
    const expected = new Map(
      expectedNodes(
        store.view,
        open.map(({ node }) => node),
      ).map((of) => [of.node.ID, of.networks]),
    );
    open = open.flatMap((one, i) => {
      const should = expected.get(one.node.ID)?.get(one.networkId);
      const is = known[i];
      if (should === undefined || is === undefined) return [];
      const lines = differingLines(should.lines, is).filter((line) => one.lines?.includes(line) ?? true);
      return lines.length === 0 ? [] : [{ ...one, lines }];
    });
  }
  return open.map(({ node, networkId, lines = [] }) => {
    const name = store.view.get('network', networkId)?.Spec.Name ?? networkId;
    return differenceFinding(node, name, lines);
  });
}

async function askMembers(
  ask: AskNode,
  nodeId: string,
  networkId: string,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const answer = await ask(nodeId, NETWORK_INQUIRIES.members, { networkId }, { signal }).catch(() => undefined);
  const parsed = NetworkMembersSchema.safeParse(answer);
  return parsed.success ? parsed.data.lines : undefined;
}

function report(
  asked: readonly Asked[],
  findings: DoctorFinding[],
  { sent, heard }: { sent: number; heard: number },
): DoctorReport {
  const order = ['error', 'warning', 'note'];
  const byLevel = (a: DoctorFinding, b: DoctorFinding): number =>
    order.indexOf(a.Level) - order.indexOf(b.Level) || compareText(a.Hostname, b.Hostname);
  const nodes = asked.map(({ expected: { node }, audit }) => ({
    NodeID: node.ID,
    Hostname: node.Description?.Hostname ?? '',
    Answers: audit !== undefined,
    Version: audit?.version ?? '',
    Networks: audit?.networks.length ?? 0,
    Containers: audit?.locals.length ?? 0,
  }));
  return {
    Healthy: findings.every(({ Level }) => Level === 'note'),
    Findings: findings.sort(byLevel),
    Nodes: nodes.sort((a, b) => compareText(a.Hostname, b.Hostname)),
    Probes: { Sent: sent, Heard: heard },
  };
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
