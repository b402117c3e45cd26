import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asSwarmdError, SwarmdError } from '@swarmd/model';
import type { CommandOptions, CommandResult } from './command.js';
import { tail } from './init.js';
import { until } from './processes.js';
import type { HostState } from './state.js';

/** The program, found from this file's compiled place in the repository. */
const program = fileURLToPath(new URL('../../../../network/bin/swarmd-net', import.meta.url));

/** Its state: a host that has it has networks, and needs it before its engine starts. */
const stateDirectory = '/var/lib/swarmd/net';
const socket = '/run/swarmd/net.sock';
const logName = 'swarmd-net.log';
const startTimeoutMs = 30_000;

/** The part of a host that starting swarmd-net needs. */
export interface NetworkedHost {
  state: HostState;
  /** Where a path of the host lies on this machine. */
  path(inside: string): string;
  exec(argv: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

/** Whether a host's engine is to find swarmd-net when it starts: it has networks from before, or was made with them. */
export function needsSwarmdNet(host: Pick<NetworkedHost, 'state' | 'path'>): boolean {
  return host.state.options.networks === true || existsSync(host.path(stateDirectory));
}

/** Starts swarmd-net on a host, as its unit of systemd would, and waits until it answers. No-op when it does already. */
export async function startSwarmdNet(host: NetworkedHost, signal?: AbortSignal): Promise<void> {
  const ownSocket = host.path(socket);
  if (await answers(ownSocket)) return;
  const log = join(host.state.directory, logName);
  const script = 'mkdir -p /run/swarmd; log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null &';
  const argv = ['sh', '-c', script, 'start', log, program];
  const started = await host.exec(argv, { ...(signal ? { signal } : {}) });
  if (started.code !== 0)
    throw new SwarmdError('unavailable', `swarmd-net on ${host.state.name} did not start: ${started.stderr}`);
  try {
    await until(() => answers(ownSocket), {
      timeoutMs: startTimeoutMs,
      what: `swarmd-net on ${host.state.name}`,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    throw new SwarmdError('unavailable', `${asSwarmdError(error).message}\n${await tail(host.state, logName)}`, {
      cause: error,
    });
  }
}

/** True when a swarmd-net answers on the socket within a second. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ask = request(
      { socketPath, path: '/status', headers: { host: 'swarmd-net' }, timeout: 1_000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    ask.on('timeout', () => ask.destroy());
    ask.on('error', () => resolve(false));
    ask.end();
  });
}
