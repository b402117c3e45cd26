import {
  CLUSTER_KEY,
  type Clock,
  certificateStage,
  type Node,
  type Random,
  type Store,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { type Loop, type PassContext, startLoop } from '../loop/loop.js';
import { createJoinTokens } from './join-token.js';
import { type CertificatePlan, planCertificates } from './rotation.js';

/** Nodes that are asked to renew at once, and the pause before the next are (swarmkit's figures). */
const BATCH_NODES = 30;
const BATCH_PAUSE_MS = 3_000;
/** Nodes that a message about a rotation names. */
const LOGGED_NODES = 10;

/** What {@link startCertificateLoop} needs. */
export interface CertificateLoopDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * Sees to it that every node has a certificate of the root that issues now, and says when one runs out. It asks nodes to
 * renew, in batches, and ends a rotation when all have: the new root takes the old one's place, and the join tokens
 * change with it. All that it goes by lies in the store, so that any leader continues where the last one stopped.
 */
export function startCertificateLoop(deps: CertificateLoopDependencies): Loop {
  const { store, clock, random, logger } = deps;
  const log = logger.child({ component: 'certificates' });
  const warned = new Map<string, string>();
  let restUntilMs = 0;

  const rotate = async ({ wakeAfter, monotonic }: PassContext<string>): Promise<void> => {
    const cluster = store.view.get('cluster', CLUSTER_KEY);
    if (cluster === undefined) return;
    const plan = planCertificates(cluster, store.view.all('node'));
    const restMs = restUntilMs - monotonic();
    const mayAsk = restMs <= 0;
    if (plan.ask.length > 0 && !mayAsk) wakeAfter(CLUSTER_KEY, restMs);
    if (!plan.finished && plan.settled.length === 0 && (plan.ask.length === 0 || !mayAsk)) return;
    const done = await store.update((tx) => applyPlan(tx, mayAsk, random));
    if (done === undefined) return;
    if (done.asked.length > 0) {
      restUntilMs = monotonic() + BATCH_PAUSE_MS;
      wakeAfter(CLUSTER_KEY, BATCH_PAUSE_MS);
      const nodes = done.asked.slice(0, LOGGED_NODES);
      log.info({ nodes, count: done.asked.length, waitingFor: done.plan.waitingFor.length }, 'nodes asked to renew');
    }
    if (done.plan.finished) {
      log.warn(
        { issuer: done.plan.issuer },
        'root CA rotated: the old root is not trusted any more, join tokens changed',
      );
    }
  };
  const watchExpiry = (nodeId: string, { now, wakeAfter }: PassContext<string>): void => {
    const node = store.view.get('node', nodeId);
    if (node?.Certificate === undefined) {
      warned.delete(nodeId);
      return;
    }
    const { stage, dueMs } = certificateStage(node.Certificate, now);
    if (dueMs !== undefined) wakeAfter(nodeId, dueMs);
    const state = `${stage} ${node.Certificate.NotAfter}`;
    if (stage !== 'fresh' && warned.get(nodeId) !== state) warn(node, stage);
    if (stage === 'fresh') warned.delete(nodeId);
    else warned.set(nodeId, state);
  };
  const warn = (node: Node, stage: 'expiring' | 'expired'): void => {
    const about = { nodeId: node.ID, hostname: node.Description?.Hostname, notAfter: node.Certificate?.NotAfter };
    if (stage === 'expired') log.error(about, 'a node’s certificate has expired: it must join again');
    else log.warn(about, 'a node’s certificate expires soon and was not renewed');
  };
  return startLoop<string>(
    {
      name: 'certificates',
      dirtiedBy: ({ table, object }, mark) => {
        if (table === 'cluster') mark(CLUSTER_KEY);
        if (table === 'node') {
          mark(CLUSTER_KEY);
          mark(object.ID);
        }
      },
      allKeys: () => [CLUSTER_KEY, ...[...store.view.all('node')].map((node) => node.ID)],
      pass: async (keys, context) => {
        for (const key of keys) if (key !== CLUSTER_KEY) watchExpiry(key, context);
        if (keys.has(CLUSTER_KEY)) await rotate(context);
      },
    },
    { store, clock, logger },
  );
}

/** Does what the plan says for the state in the transaction; `undefined` when the cluster has gone. */
function applyPlan(
  tx: WriteTx,
  mayAsk: boolean,
  random: Random,
): { plan: CertificatePlan; asked: string[] } | undefined {
  const cluster = tx.get('cluster', CLUSTER_KEY);
  if (cluster === undefined) return undefined;
  const plan = planCertificates(cluster, tx.all('node'));
  const asked = mayAsk ? plan.ask.slice(0, BATCH_NODES) : [];
  for (const id of asked) tx.put('node', { ...tx.get('node', id)!, RenewFrom: plan.issuer });
  for (const id of plan.settled) {
    const { RenewFrom: _done, ...node } = tx.get('node', id)!;
    tx.put('node', node);
  }
  if (plan.finished) {
    const { RootRotation, ...rest } = cluster;
    const { Certificate, Key } = RootRotation!;
    tx.put('cluster', { ...rest, RootCA: { Certificate, Key }, JoinTokens: createJoinTokens(Certificate, random) });
  }
  return { plan, asked };
}
