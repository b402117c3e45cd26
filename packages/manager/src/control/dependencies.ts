import type {
  Clock,
  LogRecord,
  LogsOptions,
  Random,
  ReadView,
  ServiceExplanation,
  Store,
  SwarmdError,
} from '@swarmd/model';
import type { Logger } from 'pino';
import type { AskNode } from '../dispatcher/ask-node.js';

/** Where log lines of tasks come from: the dispatcher's log broker. */
export interface LogSource {
  /** Lines of all tasks of a service, or of one task; ends by itself unless `options.follow`, or with the signal. */
  subscribe(
    selector: { serviceId: string } | { taskId: string },
    options: LogsOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogRecord>;
}

/** What control needs from outside. */
export interface ControlDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  logSource: LogSource;
  /** The scheduler's verdicts on the waiting tasks of a service. */
  explain(view: ReadView, serviceId: string): ServiceExplanation;
  /** Asks nodes, whichever manager they are connected to; none can be asked without. */
  ask?: AskNode;
  /** Join tokens of this cluster; the secret half is fresh at each call. */
  tokens: { rotateJoinToken(kind: 'worker' | 'manager'): string };
  /** The version of swarmd that backups name. */
  swarmdVersion?: string;
  /** Why the cluster cannot take another manager; `undefined` when it can. Asked before a worker is promoted. */
  refuseManager?(): Promise<SwarmdError | undefined>;
  /** Why the cluster can have no standby at all; `undefined` when it can. */
  refuseStandby?(): SwarmdError | undefined;
}
