import {
  asSwarmdError,
  compareStates,
  type ErrorCode,
  REJECTION,
  type ReadView,
  type Store,
  SwarmdError,
  TASK_STATE_ORDER,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarmd/model';

/** The most statuses written in one transaction. */
const MAX_STATUSES_PER_TRANSACTION = 10_000;
/** The most characters of a message or an error that are kept: a task has one status, but there are many tasks. */
const MAX_TEXT = 4_096;
/** Readers of the API parse what is stored: other forms of a time that JavaScript takes would stop them. */
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
/** The most statuses that may wait while a transaction is under way. */
const MAX_WAITING = 100_000;

/** A status as an agent sent it: JSON of Docker's TaskStatus. */
export interface ReportedStatus {
  taskId: string;
  status: Uint8Array;
}

/** What became of one batch: the index at which it is durable, and the items that will never be taken. */
export interface BatchResult {
  storeIndex: number;
  rejected: { taskId: string; code: ErrorCode }[];
}

/** One node's batch. */
export interface StatusSubmission {
  nodeId: string;
  statuses: readonly ReportedStatus[];
}

/** Writes what agents report. */
export interface StatusWriter {
  /** Resolves once the batch is durable; rejects with `unavailable` when it could not be written. */
  submit(submission: StatusSubmission): Promise<BatchResult>;
}

/**
 * Writes a group of batches into the store in one transaction, stamped with its time, and resolves with what each came
 * to. Rejects as the store does when it could not be written.
 */
export async function writeStatuses(store: Store, submissions: readonly StatusSubmission[]): Promise<BatchResult[]> {
  const results = await store.update((tx) => {
    const folded = foldStatuses(tx, submissions);
    for (const [taskId, status] of folded.statuses) {
      const task = tx.get('task', taskId)!;
      const runningAt = task.Status.RunningAt ?? (status.State === 'running' ? tx.now : undefined);
      const since = runningAt === undefined ? {} : { RunningAt: runningAt };
      tx.put('task', { ...task, Status: { ...asEnded(task, status), AppliedAt: tx.now, ...since } });
    }
    return { rejected: folded.rejected, index: folded.statuses.size > 0 ? tx.index : undefined };
  });
  const storeIndex = results.index ?? store.index;
  return results.rejected.map((rejected) => ({ storeIndex, rejected }));
}

/** A task that its node does not suit any more was stopped for that, and is told so. */
function asEnded({ RejectedAt }: Task, status: TaskStatus): TaskStatus {
  return RejectedAt !== undefined && status.State === 'shutdown'
    ? { ...status, State: 'rejected', ...REJECTION }
    : status;
}

/** A writer into `store`: see {@link createStatusQueue}. */
export function createStatusWriter(store: Store): StatusWriter {
  return createStatusQueue((submissions) => writeStatuses(store, submissions));
}

/**
 * A writer that writes at once when nothing is under way, and else together with everything that arrives until then: one
 * `write` at a time, however many agents report.
 */
export function createStatusQueue(
  write: (submissions: readonly StatusSubmission[]) => Promise<BatchResult[]>,
): StatusWriter {
  type Waiting = StatusSubmission & { resolve: (result: BatchResult) => void; reject: (error: Error) => void };
  const waiting: Waiting[] = [];
  let waitingStatuses = 0;
  let writing = false;

  const take = (): Waiting[] => {
    let [batches, statuses] = [0, 0];
    while (batches < waiting.length && (batches === 0 || statuses < MAX_STATUSES_PER_TRANSACTION)) {
      statuses += waiting[batches++]!.statuses.length;
    }
    waitingStatuses -= statuses;
    return waiting.splice(0, batches);
  };
  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = take();
      try {
        const results = await write(batch.map(({ nodeId, statuses }) => ({ nodeId, statuses })));
        for (const [i, one] of batch.entries()) one.resolve(results[i]!);
      } catch (error) {
        for (const one of batch) one.reject(asSwarmdError(error));
      }
    }
    // In the turn of the last look at what waits: nothing slips in between.
    writing = false;
  };
  return {
    submit: (submission) =>
      new Promise((resolve, reject) => {
        if (waitingStatuses + submission.statuses.length > MAX_WAITING) {
          reject(new SwarmdError('unavailable', 'too many statuses wait to be written'));
          return;
        }
        waiting.push({ ...submission, resolve, reject });
        waitingStatuses += submission.statuses.length;
        if (writing) return;
        writing = true;
        // After this turn's input: what came in together is written together, and nothing waits for it.
        setImmediate(() => void writeAll());
      }),
  };
}

/**
 * What a group of batches amounts to on `view`: the last status per task that climbs the ladder (never down), and per
 * batch the items refused: another node's task, no such task, or not a status that an agent may give.
 */
export function foldStatuses(
  view: ReadView,
  submissions: readonly StatusSubmission[],
): { statuses: Map<string, TaskStatus>; rejected: BatchResult['rejected'][] } {
  const statuses = new Map<string, TaskStatus>();
  const rejected = submissions.map(({ nodeId, statuses: items }) => {
    const refused: BatchResult['rejected'] = [];
    for (const { taskId, status } of items) {
      const task = view.get('task', taskId);
      const next = parseStatus(status);
      if (task === undefined) refused.push({ taskId, code: 'not-found' });
      else if (task.NodeID !== nodeId) refused.push({ taskId, code: 'permission-denied' });
      else if (next === undefined) refused.push({ taskId, code: 'invalid-argument' });
      else if (climbs(statuses.get(taskId) ?? task.Status, next)) statuses.set(taskId, next);
    }
    return refused;
  });
  return { statuses, rejected };
}

/** Whether `next` may follow `current`: a later state, or the same with something new to say. */
function climbs(current: TaskStatus, next: TaskStatus): boolean {
  const order = compareStates(next.State, current.State);
  if (order !== 0) return order > 0;
  return JSON.stringify(parts(current)) !== JSON.stringify(parts(next));
}

/** What makes two statuses of the same state different; the time alone does not. */
function parts({ Message, Err, ContainerStatus, PortStatus }: TaskStatus): unknown[] {
  const { ContainerID, PID, ExitCode } = ContainerStatus ?? {};
  return [Message, Err ?? '', ContainerID, PID, ExitCode, PortStatus?.Ports ?? []];
}

function parseStatus(json: Uint8Array): TaskStatus | undefined {
  let value: Partial<TaskStatus> | null;
  try {
    value = JSON.parse(Buffer.from(json).toString('utf8')) as Partial<TaskStatus> | null;
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !isAgentState(value.State)) return undefined;
  const { Timestamp, State, Message, Err, ContainerStatus, PortStatus } = value;
  if (typeof Timestamp !== 'string' || !RFC3339.test(Timestamp) || Number.isNaN(Date.parse(Timestamp)))
    return undefined;
  const container = containerStatus(ContainerStatus);
  const ports = Array.isArray(PortStatus?.Ports) ? PortStatus.Ports.filter(isObject) : undefined;
  return {
    Timestamp,
    State,
    Message: textOf(Message),
    ...(textOf(Err) === '' ? {} : { Err: textOf(Err) }),
    ...(container === undefined ? {} : { ContainerStatus: container }),
    ...(ports === undefined ? {} : { PortStatus: { Ports: ports } }),
  };
}

/** What an agent says of a container; fields of another type than readers count on are left out. */
function containerStatus(value: unknown): TaskStatus['ContainerStatus'] {
  if (!isObject(value)) return undefined;
  const { ContainerID, PID, ExitCode } = value;
  return {
    ...(typeof ContainerID === 'string' ? { ContainerID } : {}),
    ...(typeof PID === 'number' ? { PID } : {}),
    ...(typeof ExitCode === 'number' ? { ExitCode } : {}),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : '';
}

/** States that agents report: from accepted on, but neither `remove` (only ever desired) nor `orphaned` (the leader's). */
function isAgentState(state: unknown): state is TaskState {
  if (typeof state !== 'string' || !Object.hasOwn(TASK_STATE_ORDER, state)) return false;
  const order = TASK_STATE_ORDER[state as TaskState];
  return order >= TASK_STATE_ORDER.accepted && order < TASK_STATE_ORDER.remove;
}
