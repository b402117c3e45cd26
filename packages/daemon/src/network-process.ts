import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createNetworkAuditsClient, createNodeNetworksClient } from '@swarmd/agent';
import { type Clock, type NetworkAudits, NODE_NETWORKS_PROTOCOL, type NodeNetworks, pause } from '@swarmd/model';
import type { Logger } from 'pino';
import type { DaemonConfig } from './config.js';

/** Name of swarmd-net's socket in the run directory. */
const SOCKET = 'net.sock';
/** At start it is waited for this long, so that the first session with a manager knows of it. */
const START_TIMEOUT_MS = 5_000;
const POLL_MS = 50;
/** One that does not answer is started, or looked at again, after this long: twice as long each time. */
const RETRY_MS = { min: 1_000, max: 30_000 } as const;
/** One that answers is looked at again after this long; sooner when it was started here and has ended. */
const LOOK_MS = 1_000;
const STATUS_TIMEOUT_MS = 5_000;
/** It logs to a tmpfs: what is longer is cut off at the next start. */
const MAX_LOG_BYTES = 8 * 1024 * 1024;

/** swarmd-net as this swarmd keeps it. */
export interface NetworkProcess {
  networks: NodeNetworks;
  /** No longer looks after it; it goes on. */
  stop(): Promise<void>;
}

/** The networks of this node, as the swarmd-net in the run directory keeps them. */
export function nodeNetworks({ runDir }: Pick<DaemonConfig, 'runDir'>): NodeNetworks {
  return createNodeNetworksClient(join(runDir, SOCKET));
}

/** What the swarmd-net in the run directory tells people who look for a fault. */
export function networkAudits({ runDir }: Pick<DaemonConfig, 'runDir'>): NetworkAudits {
  return createNetworkAuditsClient(join(runDir, SOCKET));
}

/**
 * Sees to it that swarmd-net runs, as long as swarmd does: it is started, as a process that outlives swarmd, when none
 * answers. One that speaks another protocol is ended first if a swarmd started it. Where somebody else runs it (a unit of
 * systemd), or swarmd is not root, nothing is started. Resolves once it answers, or cannot be waited for longer.
 */
export async function keepNetworkProcess(
  config: Pick<DaemonConfig, 'runDir' | 'dataDir' | 'networkProcess' | 'logLevel'>,
  { clock, logger }: { clock: Clock; logger: Logger },
): Promise<NetworkProcess> {
  const networks = nodeNetworks(config);
  const stopped = new AbortController();
  const root = process.getuid?.() === 0;
  if (config.networkProcess === 'external' || !root) {
    if (!root) logger.warn('not root: this node has no overlay networks');
    return { networks, stop: async () => {} };
  }
  let child: ChildProcess | undefined;
  let wake = new AbortController();
  const look = async (): Promise<boolean> => {
    const protocol = await protocolOf(networks);
    if (protocol === NODE_NETWORKS_PROTOCOL) return true;
    if (protocol !== undefined && !endOwn(config.runDir)) {
      logger.error({ protocol }, 'swarmd-net is of another version, and not started by swarmd: restart it');
      return false;
    }
    if (child !== undefined && child.exitCode === null && child.signalCode === null) return false;
    child = startDetached(config);
    child.once('error', (err) => logger.error({ err }, 'swarmd-net cannot be started'));
    child.once('exit', (code, signal) => {
      logger.warn({ code, signal }, 'swarmd-net has ended');
      wake.abort();
    });
    logger.info({ pid: child.pid, log: logFile(config.runDir) }, 'started swarmd-net');
    return false;
  };
  const keep = async (): Promise<void> => {
    let retryMs: number = RETRY_MS.min;
    while (!stopped.signal.aborted) {
      wake = new AbortController();
      const answers = await look();
      if (answers) await pause(clock, LOOK_MS, wake.signal);
      else await pause(clock, retryMs, stopped.signal);
      retryMs = answers ? RETRY_MS.min : Math.min(RETRY_MS.max, 2 * retryMs);
    }
  };
  const keeping = keep();
  keeping.catch((err: unknown) => logger.error({ err }, 'swarmd-net is not looked after any more'));
  await untilAnswers(networks, clock);
  return {
    networks,
    async stop() {
      stopped.abort();
      wake.abort();
      await keeping;
    },
  };
}

async function untilAnswers(networks: NodeNetworks, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + START_TIMEOUT_MS;
  while (clock.monotonic() < deadline && (await protocolOf(networks)) !== NODE_NETWORKS_PROTOCOL) {
    // The clock's timers keep no process alive, and nothing else of swarmd is there yet.
    await delay(POLL_MS);
  }
}

/** The protocol that swarmd-net speaks; `undefined` while none answers. */
async function protocolOf(networks: NodeNetworks): Promise<number | undefined> {
  try {
    return (await networks.status(AbortSignal.timeout(STATUS_TIMEOUT_MS))).protocol;
  } catch {
    return undefined;
  }
}

function startDetached({ runDir, dataDir, logLevel }: Pick<DaemonConfig, 'runDir' | 'dataDir' | 'logLevel'>) {
  const file = logFile(runDir);
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) truncateSync(file);
  const log = openSync(file, 'a', 0o600);
  const flags = ['--state-dir', join(dataDir, 'net'), '--run-dir', runDir, '--log-level', logLevel];
  const program = fileURLToPath(new URL('../../bin/swarmd-net', import.meta.resolve('@swarmd/network')));
  const child = spawn(program, flags, {
    ...{ cwd: '/', detached: true, stdio: ['ignore', log, log] },
  });
  closeSync(log);
  child.unref();
  if (child.pid !== undefined) writeFileSync(pidFile(runDir), `${child.pid}\n`, { mode: 0o600 });
  return child;
}

/** Ends the swarmd-net that a swarmd started in this run directory; `false` when there is none such. */
function endOwn(runDir: string): boolean {
  try {
    const pid = Number(readFileSync(pidFile(runDir), 'utf8'));
    // The number may be another process's by now.
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--run-dir\0${runDir}\0`)) return false;
    process.kill(pid, 'SIGTERM');
    return true;
  } catch {
    return false;
  }
}

function logFile(runDir: string): string {
  return join(runDir, 'swarmd-net.log');
}

function pidFile(runDir: string): string {
  return join(runDir, 'swarmd-net.pid');
}
