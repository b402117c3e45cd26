import { SwarmdError } from '@swarmd/model';
import { ClusterService, createServer, type IdentityHolder, toGrpcStatus, unaryHandler } from '@swarmd/wire';
import { answerWith } from './cluster-service.js';
import type { LeaderHandlers } from './leader-calls.js';

/** Calls under way when it stops have this long. */
const STOP_GRACE_MS = 500;

/** What {@link startAnswering} needs. */
export interface AnsweringOptions {
  identity: IdentityHolder;
  /** `host:port` to listen on: where the manager will serve. */
  listenAddr: string;
  answers: LeaderHandlers;
  /** Wall time in milliseconds. */
  now: () => number;
}

/** A manager that cannot serve yet, and answers other managers' questions meanwhile. */
export interface AnsweringManager {
  /** Frees the address. */
  stop(): Promise<void>;
}

/**
 * Answers questions of other managers on the manager's own port for as long as there is no quorum to serve with; all
 * else is refused with `unavailable`. Rejects with `unavailable` when the address cannot be had.
 */
export async function startAnswering(options: AnsweringOptions): Promise<AnsweringManager> {
  const { identity, now, answers } = options;
  const server = createServer({ identity, now });
  const refusal = (): SwarmdError => new SwarmdError('unavailable', 'this manager waits for a quorum');
  const refuse = async (): Promise<never> => {
    throw refusal();
  };
  server.addService(ClusterService, {
    attach: (stream: { emit(event: 'error', error: Error): boolean }) => {
      stream.emit('error', toGrpcStatus(refusal()));
    },
    ask: unaryHandler(answerWith(answers)),
    ...{ call: unaryHandler(refuse), relay: unaryHandler(refuse), hears: unaryHandler(refuse) },
  });
  await server.listen(options.listenAddr);
  return { stop: () => server.stop(STOP_GRACE_MS) };
}
