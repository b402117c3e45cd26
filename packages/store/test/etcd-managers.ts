import { createEtcdClient, type EtcdClient } from '@swarmd/etcd';
import type { LogEntry, LogEvent, SharedLog } from '@swarmd/model';
import { layoutOf } from '../src/etcd/layout.js';
import { openEtcdLog } from '../src/index.js';
import { anyObject, type Content, replayed, silent } from './builders.js';
import { entry } from './conformance.js';

/** The managers' data key. */
export const dataKey = Buffer.alloc(32, 7);
/** Where its keys are. */
export const layout = layoutOf('/swarmd/');
/** How the managers' own etcd is started. */
export const OURS = ['--max-txn-ops', '10240', '--max-request-bytes', `${16 << 20}`];
/** A signal that never fires. */
export const never = (): AbortSignal => new AbortController().signal;
type Test = { after: (fn: () => unknown) => void };

/** A manager with a log of its own on a shared etcd. */
export interface Manager {
  log: SharedLog;
  client: EtcdClient;
  events: LogEvent[];
  /** What it knows by replay and by following. */
  content: Content;
  unfollow(): void;
  /** Resolves with the first event, past or to come, that passes. */
  told(passes: (event: LogEvent) => boolean): Promise<LogEvent>;
  /** Claims, and waits until it is told. Resolves with its term. */
  lead(): Promise<number>;
}

/** Opens a log, replays and follows it. */
export async function manager(
  t: Test,
  etcd: { endpoint: string },
  nodeId: string,
  options: object = {},
): Promise<Manager> {
  const client = createEtcdClient({ endpoint: etcd.endpoint });
  const log = await openEtcdLog({ client, dataKey, logger: silent, ...options });
  t.after(async () => {
    await log.close();
    client.close();
  });
  const { content } = await replayed(log);
  const events: LogEvent[] = [];
  const waiting = new Set<() => void>();
  const unfollow = log.follow((event) => {
    events.push(event);
    if (event.kind === 'entry') apply(content, event.entry);
    for (const look of waiting) look();
  });
  const told = (passes: (event: LogEvent) => boolean): Promise<LogEvent> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = events.find(passes);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const lead = async (): Promise<number> => {
    const claimed = await log.claim({ nodeId, addr: `${nodeId}:2377` }, log.leader?.term, never());
    if (claimed === undefined) throw new Error(`${nodeId} was not fast enough`);
    await told((event) => event.kind === 'leader' && event.leader?.term === claimed.term);
    return claimed.term;
  };
  return { log, client, events, content, unfollow, told, lead };
}

function apply(content: Content, { operations }: LogEntry): void {
  for (const { table, key, value } of operations) {
    if (value === undefined) delete content[`${table}/${key}`];
    else content[`${table}/${key}`] = value;
  }
}

/** A transaction that creates one task. */
export const write = (index: number, id = `t${index}`): LogEntry => entry(index, ['task', id, anyObject(id, index)]);
/** Passes for the entry with an index. */
export const upTo = (index: number) => (event: LogEvent) => event.kind === 'entry' && event.entry.index === index;
/** The indexes of the entries among events. */
export const indexes = (events: readonly LogEvent[]): number[] =>
  events.flatMap((event) => (event.kind === 'entry' ? [event.entry.index] : []));
/** How a promise ends: `done`, or the code of its error. */
export async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error as { code: string }).code,
  );
}
