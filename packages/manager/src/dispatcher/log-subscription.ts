import { type LogRecord, type LogsOptions, type ReadView, rfc3339, TASK_STATE_ORDER, type Task } from '@swarmd/model';
import { type BoundedQueue, createBoundedQueue } from './log-queue.js';

/** Records that wait for a reader; then agents' streams wait. */
const QUEUE_RECORDS = 1_000;

/** Whose logs are asked for. */
export type LogSelector = { taskId: string } | { serviceId: string };

/** What one node was asked for; later tasks are asked for independently. */
export interface LogPart {
  readonly nodeId: string;
  readonly taskIds: ReadonlySet<string>;
  /** Timestamps up to which each task's records were had already, from before the node was lost. */
  readonly after: ReadonlyMap<string, string>;
  /** How often it was asked since it was last had: the reader is told once. */
  readonly attempt: number;
  /** Takes the question back, once it was asked. */
  cancel?: () => void;
}

/** One reader's subscription. */
export interface LogSubscriptionState {
  readonly selector: LogSelector;
  readonly options: LogsOptions;
  readonly queue: BoundedQueue<LogRecord>;
  /** Tasks that were asked of a node already, or never will be. */
  readonly covered: Set<string>;
  readonly parts: Set<LogPart>;
  /** Parts whose node was lost, when following: asked again once it is back. */
  lost: LogPart[];
  /** Timestamp of the last record of each task. */
  readonly last: Map<string, string>;
}

/** A subscription without parts. */
export function createSubscription(
  selector: LogSelector,
  options: LogsOptions,
  onClose: () => void,
): LogSubscriptionState {
  const queue = createBoundedQueue<LogRecord>(QUEUE_RECORDS, onClose);
  return { selector, options, queue, covered: new Set(), parts: new Set(), lost: [], last: new Map() };
}

/** The tasks that a selector means now. */
export function selectTasks(view: ReadView, selector: LogSelector): Task[] {
  if ('serviceId' in selector) return [...view.find('task', 'service', selector.serviceId)];
  const task = view.get('task', selector.taskId);
  return task === undefined ? [] : [task];
}

/** Whether a selector means a task. */
export function selects(selector: LogSelector, task: Task): boolean {
  return 'serviceId' in selector ? selector.serviceId === task.ServiceID : selector.taskId === task.ID;
}

/** Whether a task can have logs: it has come as far as running, or past it. */
export function mayHaveLogs(task: Task): boolean {
  return task.NodeID !== '' && TASK_STATE_ORDER[task.Status.State] >= TASK_STATE_ORDER.running;
}

/** A message of swarmd itself among the log records. */
export function ownRecord(text: string, nowMs: number, about: { taskId?: string; nodeId?: string } = {}): LogRecord {
  return {
    taskId: about.taskId ?? '',
    serviceId: '',
    nodeId: about.nodeId ?? '',
    stream: 0,
    timestamp: rfc3339(nowMs),
    data: Buffer.from(`${text}\n`),
  };
}
