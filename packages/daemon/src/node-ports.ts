import type { Clock, Random } from '@swarmd/model';
import type { Logger } from 'pino';

/** Ports that all parts of a node share. */
export interface NodePorts {
  clock: Clock;
  random: Random;
  logger: Logger;
}
