import type { SessionNetworks } from './network/node-networking.js';
import { SessionClient, type SessionClientDeps } from './session/client.js';
import { createStatusReporter } from './session/reporter.js';
import { Worker, type WorkerDeps } from './worker/worker.js';

/** What an agent acts through: the engine, the managers, its memory, time. */
export interface AgentPorts
  extends Omit<WorkerDeps, 'onStatus'>,
    Omit<SessionClientDeps, 'worker' | 'reporter' | 'bootNonce' | 'networks'> {
  /** Absent on nodes without overlay networks. */
  sessionNetworks?: SessionNetworks;
}

/** The agent's part that decides: its tasks, and its session with a manager. */
export interface AgentCore {
  worker: Worker;
  sessions: SessionClient;
}

/** Puts an agent together, not yet running: on a host's engine, and in simulations, in this one way. */
export function assembleAgent(ports: AgentPorts): AgentCore {
  const child = (component: string) => ports.logger.child({ component });
  const reporter = createStatusReporter();
  const worker = new Worker({
    ...ports,
    onStatus: (taskId, status) => reporter.changed(taskId, status),
    logger: child('worker'),
  });
  const sessions = new SessionClient({
    ...ports,
    ...{ worker, reporter, logger: child('session') },
    networks: ports.sessionNetworks,
    bootNonce: Buffer.from(ports.random.bytes(16)).toString('hex'),
  });
  return { worker, sessions };
}
