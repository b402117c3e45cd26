import { hostname } from 'node:os';
import { inspectEtcdData } from '@swarmd/etcd';
import { createGrpcTransport } from '@swarmd/manager';
import type { ReadView, RecoveryManager } from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import { z } from 'zod';
import { loadDriver, managerFiles } from './manager-files.js';
import type { StoreHost } from './store-host.js';

/** Whether there is a quorum is found out in this time. */
const QUORUM_TIMEOUT_MS = 2_000;
/** Another manager may take this long to say how far its log is. */
const ASK_TIMEOUT_MS = 5_000;

const SurveySchema = z.object({
  NodeID: z.string(),
  Hostname: z.string(),
  HasQuorum: z.boolean(),
  Term: z.string(),
  Index: z.string(),
  LastChange: z.string(),
});

/** What a manager says of itself when one asks whose log is furthest. */
export type Survey = z.infer<typeof SurveySchema>;

/** How far this manager's log is. Works with a store that is open, and with one that waits for a quorum. */
export async function surveyOwn(dataDir: string, nodeId: string, host: StoreHost | undefined): Promise<Survey> {
  const about = { NodeID: nodeId, Hostname: hostname(), LastChange: host ? lastChange(host.store.view) : '' };
  if ((await loadDriver(dataDir)) !== 'etcd')
    return { ...about, HasQuorum: true, Term: '0', Index: String(host?.store.index ?? 0) };
  // Without a quorum nothing is appended, so that the files of a member that runs are at rest.
  const { lastTerm, lastIndex } = await inspectEtcdData(managerFiles(dataDir).etcdData);
  return { ...about, HasQuorum: await hasQuorum(host), Term: String(lastTerm), Index: String(lastIndex) };
}

/** Asks the managers at `addrs` how far their logs are; `undefined` for those that do not answer. */
export async function surveyOthers(
  identity: IdentityHolder,
  addrs: readonly string[],
): Promise<Map<string, Survey | undefined>> {
  const transport = createGrpcTransport(identity);
  try {
    const asked = addrs.map(async (addr) => {
      try {
        const answer = await transport.ask(addr, 'recovery.survey', {}, { timeoutMs: ASK_TIMEOUT_MS });
        return [addr, SurveySchema.parse(answer)] as const;
      } catch {
        return [addr, undefined] as const;
      }
    });
    return new Map(await Promise.all(asked));
  } finally {
    transport.close();
  }
}

/** A survey, or its absence, as a report has it. */
export function asManager(
  addr: string,
  survey: Survey | undefined,
  known: { id: string; name: string },
): RecoveryManager {
  const base = { Addr: addr, Self: false, Answers: survey !== undefined };
  if (survey !== undefined) return { ...base, ...survey };
  const nothing = { HasQuorum: false, Term: '', Index: '', LastChange: '' };
  return { ...base, ...nothing, NodeID: known.id, Hostname: known.name };
}

/** Negative when `a`'s log is behind `b`'s, as Raft compares: term, then index. */
export function compareLogs(a: Pick<Survey, 'Term' | 'Index'>, b: Pick<Survey, 'Term' | 'Index'>): number {
  const [x, y] = a.Term === b.Term ? [a.Index, b.Index] : [a.Term, b.Term];
  return BigInt(x) < BigInt(y) ? -1 : BigInt(x) > BigInt(y) ? 1 : 0;
}

async function hasQuorum(host: StoreHost | undefined): Promise<boolean> {
  if (host === undefined) return false;
  try {
    await host.store.fresh(AbortSignal.timeout(QUORUM_TIMEOUT_MS));
    return true;
  } catch {
    return false;
  }
}

function lastChange(view: ReadView): string {
  let last = '';
  for (const table of ['cluster', 'node', 'service', 'task', 'secret', 'config', 'network'] as const) {
    for (const { UpdatedAt } of view.all(table)) if (UpdatedAt > last) last = UpdatedAt;
  }
  return last;
}
