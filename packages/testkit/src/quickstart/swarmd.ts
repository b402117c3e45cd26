import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { type CommandOptions, type CommandResult, tryRun } from '../hosts/command.js';
import { callEngine } from '../hosts/engine-api.js';
import { identify, isAlive, type ProcessIdentity, until } from '../hosts/processes.js';
import { swarmctlProgram, swarmdProgram } from './places.js';

const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;

/** The part of swarmd's `GET /info` that says whether and how it is in a cluster. */
export interface SwarmInfo {
  LocalNodeState: string;
  ControlAvailable: boolean;
  NodeID: string;
  Cluster?: { ID: string };
}

/** True when a swarmd or an engine answers on the socket. */
export function answers(socket: string): Promise<boolean> {
  return callEngine(socket, { path: '/_ping', timeoutMs: 2_000 }).then(
    () => true,
    () => false,
  );
}

/** Calls swarmd's API and resolves with the JSON that it answers. */
export async function callSwarmd<T>(socket: string, path: string): Promise<T> {
  return JSON.parse(await callEngine(socket, { path, timeoutMs: 30_000 })) as T;
}

/** How swarmd on a socket stands to a cluster. */
export async function swarmInfo(socket: string): Promise<SwarmInfo> {
  return (await callSwarmd<{ Swarm: SwarmInfo }>(socket, '/info')).Swarm;
}

/**
 * Starts swarmd on this machine in the background; resolves when it answers. Its output goes to `logFile`. `onStarted`
 * is told before that. Rejects with the end of the log when it ends at once.
 */
export async function startSwarmd(
  args: readonly string[],
  { socket, logFile }: { socket: string; logFile: string },
  onStarted: (process: ProcessIdentity) => void,
): Promise<void> {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(swarmdProgram, args, { cwd: '/', detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const failed = new Promise<string>((resolve) => child.once('error', (error) => resolve(error.message)));
  child.unref();
  const identity = child.pid === undefined ? null : identify(child.pid);
  if (!identity) throw new SwarmdError('unavailable', `swarmd cannot be started: ${await failed}`);
  onStarted(identity);
  await untilSwarmdAnswers(socket, logFile, () => isAlive(identity));
}

/** Resolves when swarmd answers on its socket; rejects with the end of its log once `alive` is false. */
export async function untilSwarmdAnswers(socket: string, logFile: string, alive: () => boolean): Promise<void> {
  await until(
    async () => {
      if (!alive()) {
        const said = (await tryRun(['tail', '-n', '5', logFile])).stdout.trim();
        throw new SwarmdError('unavailable', `swarmd ended at once. The end of ${logFile}:\n${said}`);
      }
      return answers(socket);
    },
    { timeoutMs: startTimeoutMs, intervalMs: 50, what: `swarmd to answer; its log is ${logFile}` },
  );
}

/** Stops a swarmd of this machine with SIGTERM; containers go on. */
export async function stopSwarmd(identity: ProcessIdentity): Promise<void> {
  if (!isAlive(identity)) return;
  process.kill(identity.pid, 'SIGTERM');
  await until(() => !isAlive(identity), { timeoutMs: stopTimeoutMs, what: 'swarmd to stop' });
}

/** Stops the swarmd-net that swarmd started in this run directory; it has nothing left to do once its node has left. */
export async function stopSwarmdNet(runDir: string): Promise<void> {
  const pid = Number(await readFile(join(runDir, 'swarmd-net.pid'), 'utf8').catch(() => ''));
  const identity = pid > 0 ? identify(pid) : null;
  // The number may be another process's by now.
  const command = identity ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : '';
  if (!identity || !command.includes(`--run-dir\0${runDir}\0`)) return;
  process.kill(pid, 'SIGTERM');
  await until(() => !isAlive(identity), { timeoutMs: stopTimeoutMs, what: 'swarmd-net to stop' });
}

/** Runs swarmctl against a socket and resolves with whatever it returned. */
export function trySwarmctl(
  socket: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return tryRun([process.execPath, swarmctlProgram, '-H', `unix://${socket}`, ...args], options);
}

/** Runs swarmctl against a socket and resolves with what it printed; rejects with its error unless it returns 0. */
export async function swarmctl(socket: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await trySwarmctl(socket, args, options);
  if (result.code === 0) return result.stdout;
  throw new SwarmdError('internal', `swarmctl ${args[0]}: ${(result.stderr || result.stdout).trim()}`);
}
