import { CommandError } from '../program/errors.js';

/** An error that the daemon answered with: its message and HTTP status. */
export class ApiError extends CommandError {
  readonly status: number;

  constructor(message: string, status: number) {
    super(`Error response from daemon: ${message}`);
    this.status = status;
  }
}

/** Whether the daemon said that the object does not exist. */
export function isNotFound(thrown: unknown): boolean {
  return thrown instanceof ApiError && thrown.status === 404;
}

/** What a failed connection to our daemon, or to an engine, means to the person at the terminal. */
export function connectionError(thrown: unknown, host: string, peer: 'swarmd' | 'engine' = 'swarmd'): CommandError {
  if (peer === 'engine')
    return new CommandError(`cannot connect to the engine at ${host}: ${(thrown as Error).message}`);
  const code = (thrown as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new CommandError(
        `Cannot connect to swarmd at ${host}. Is swarmd running?\n` +
          'Start it as root with "systemctl start swarmd" or "swarmd", or name another socket with -H unix://PATH or SWARMCTL_HOST.',
      );
    case 'EACCES':
      return new CommandError(
        `permission denied while trying to connect to swarmd at ${host}: run as root, or as a member of the group that owns the socket`,
      );
    default:
      return new CommandError(`error during connect: ${(thrown as Error).message}`);
  }
}
