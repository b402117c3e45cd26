import { spawn } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { run, searchPath, tryRun } from '../hosts/command.js';
import { engineAnswers } from '../hosts/engine.js';
import { callEngine } from '../hosts/engine-api.js';
import { identify, isAlive, until } from '../hosts/processes.js';
import type { Notes } from './notes.js';

const defaultSocket = '/var/run/docker.sock';
const startTimeoutMs = 60_000;
const stopTimeoutMs = 60_000;

/** The socket of an engine that answers: of DOCKER_HOST, the usual one, a rootless one. Null when none does. */
export async function findEngine(env: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  for (const socket of engineSockets(env)) if (await engineAnswers(socket)) return socket;
  return null;
}

function engineSockets(env: NodeJS.ProcessEnv): string[] {
  const chosen = /^unix:\/\/(\/.+)$/.exec(env['DOCKER_HOST'] ?? '')?.[1];
  const own = env['XDG_RUNTIME_DIR'];
  return [...(chosen ? [chosen] : []), defaultSocket, ...(own ? [join(own, 'docker.sock')] : [])];
}

/** Version of the engine on a socket, as `20.10.24`. */
export async function engineVersion(socket: string): Promise<string> {
  return (JSON.parse(await callEngine(socket, { path: '/version' })) as { Version: string }).Version;
}

/**
 * Starts the machine's engine: as its systemd unit where systemd runs the machine, else in the background with its
 * output in `logFile`. Needs root; says what to do where it cannot. `onStarted` is told before the engine answers.
 */
export async function startMachineEngine(
  logFile: string,
  onStarted: (how: NonNullable<Notes['startedEngine']>) => void,
): Promise<void> {
  if (process.getuid?.() !== 0) throw new SwarmdError('failed-precondition', whyNoEngine());
  if (existsSync('/run/systemd/system') && (await tryRun(['systemctl', 'cat', 'docker.service'])).code === 0) {
    onStarted({ by: 'systemd' });
    const started = await tryRun(['systemctl', 'start', 'docker.service'], { timeoutMs: startTimeoutMs });
    if (started.code !== 0) {
      throw new SwarmdError('unavailable', `${started.stderr.trim()}\nSee: journalctl -u docker -n 50`);
    }
    await until(() => engineAnswers(defaultSocket), { timeoutMs: startTimeoutMs, what: 'the engine to answer' });
    return;
  }
  await startDockerd(logFile, onStarted);
}

async function startDockerd(
  logFile: string,
  onStarted: (how: NonNullable<Notes['startedEngine']>) => void,
): Promise<void> {
  const log = openSync(logFile, 'a');
  const env = { ...process.env, PATH: searchPath() };
  // Without flags: what the machine's daemon.json says about hosts would clash with one.
  const child = spawn('dockerd', [], {
    ...{ env, cwd: '/', detached: true, stdio: ['ignore', log, log] },
  });
  closeSync(log);
  const failed = new Promise<string | null>((resolve) => child.once('error', (error) => resolve(error.message)));
  child.unref();
  const process_ = child.pid === undefined ? null : identify(child.pid);
  if (!process_) throw new SwarmdError('unavailable', `dockerd cannot be started: ${await failed}`);
  onStarted({ by: 'dockerd', process: process_ });
  await until(
    async () => {
      if (!isAlive(process_)) {
        const said = (await tryRun(['tail', '-n', '8', logFile])).stdout.trim();
        throw new SwarmdError('unavailable', `dockerd ended at once. The end of ${logFile}:\n${said}`);
      }
      return engineAnswers(defaultSocket);
    },
    { timeoutMs: startTimeoutMs, intervalMs: 100, what: `dockerd to answer; its log is ${logFile}` },
  );
}

/** Stops an engine that {@link startMachineEngine} started. */
export async function stopMachineEngine(how: NonNullable<Notes['startedEngine']>): Promise<void> {
  if (how.by === 'systemd') {
    await run(['systemctl', 'stop', 'docker.service', 'docker.socket'], { timeoutMs: stopTimeoutMs });
    return;
  }
  if (!isAlive(how.process)) return;
  process.kill(how.process.pid, 'SIGTERM');
  await until(() => !isAlive(how.process), { timeoutMs: stopTimeoutMs, what: 'dockerd to stop' });
}

/** Why a user who is not root has no engine, and what helps. */
function whyNoEngine(): string {
  if (!existsSync(defaultSocket)) {
    return 'no Docker engine answers and only root can start one. Run the quickstart as root, or start the engine first (sudo systemctl start docker)';
  }
  try {
    accessSync(defaultSocket, constants.R_OK | constants.W_OK);
  } catch {
    return `you may not use ${defaultSocket}. Run the quickstart as root, or join the group of the socket (sudo usermod -aG docker $USER) and log in again`;
  }
  return `the engine on ${defaultSocket} does not answer. Ask an administrator to start it (sudo systemctl restart docker)`;
}
