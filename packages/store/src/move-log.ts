import {
  type Commit,
  type Leader,
  type LogOperation,
  type SharedLog,
  type SharedStore,
  SwarmdError,
  TABLE_NAMES,
  type TableName,
} from '@swarmd/model';
import { differences } from './engine/differences.js';

/** Operations copied in one append. */
const OPERATIONS_PER_APPEND = 1_000;

/**
 * Moves a store that leads to an empty log, while it goes on: what it holds is copied first, what changed meanwhile
 * follows while writes wait, then everything is read back and compared. `flip` makes the new log the one that the next
 * start opens; until it has resolved the old log is the truth, and a rejection leaves the store on it. Rejects with
 * `failed-precondition` when the new log is not empty, `damaged` when what is read back differs.
 */
export async function moveLog(
  store: SharedStore,
  next: SharedLog,
  self: Pick<Leader, 'nodeId' | 'addr'>,
  flip: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const leader = await claimEmpty(next, self, signal);
  const touched = new Map<string, { table: TableName; key: string }>();
  const note = ({ events }: Commit): void => {
    for (const { table, object } of events) touched.set(`${table}/${object.ID}`, { table, key: object.ID });
  };
  let at = store.index;
  const operations = TABLE_NAMES.flatMap((table) =>
    [...store.view.all(table)].map((value): LogOperation => ({ table, key: value.ID, value })),
  );
  const unwatch = store.watch(note);
  try {
    for (let from = 0; from < operations.length; from += OPERATIONS_PER_APPEND) {
      signal.throwIfAborted();
      await next.append([{ index: ++at, operations: operations.slice(from, from + OPERATIONS_PER_APPEND) }]);
    }
    await store.moveTo(next, async (index) => {
      at = Math.max(at, index) + 1;
      const rest = [...touched.values()].map(({ table, key }) => ({ table, key, value: store.view.get(table, key) }));
      await next.append([{ index: at, operations: rest }]);
      const read = await differences(store.view, next);
      if (read.operations.length > 0 || read.index !== at) {
        const wrong = read.operations.length;
        throw new SwarmdError('damaged', `the copy of the store differs in ${wrong} objects: the old one stays in use`);
      }
      signal.throwIfAborted();
      await flip();
      return { index: at, leader };
    });
  } finally {
    unwatch();
  }
}

async function claimEmpty(
  next: SharedLog,
  self: Pick<Leader, 'nodeId' | 'addr'>,
  signal: AbortSignal,
): Promise<Leader> {
  let records = 0;
  const { index } = await next.replay(() => {
    records += 1;
  });
  if (index > 0 || records > 0)
    throw new SwarmdError('failed-precondition', 'the log to move to holds something already');
  const leader = await next.claim(self, next.leader?.term, signal);
  if (leader === undefined) throw new SwarmdError('aborted', 'somebody else uses the log to move to');
  // A log takes writes once it has shown the claim.
  await next.replay(() => {});
  return leader;
}
