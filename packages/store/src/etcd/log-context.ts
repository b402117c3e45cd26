import type { EtcdClient } from '@swarmd/etcd';
import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';
import type { ValueCipher } from '../cipher.js';
import type { Layout } from './layout.js';

/** What the parts of a log in etcd work with. */
export interface LogContext {
  client: EtcdClient;
  layout: Layout;
  cipher: ValueCipher;
  logger: Logger;
  clock: Clock;
  /** Tells this opening of the log from all others. */
  claimant: string;
  /** Fires when the log is closed. */
  closed: AbortSignal;
}
