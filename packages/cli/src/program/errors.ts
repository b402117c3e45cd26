/** Exit code of what Ctrl-C ended, as shells report it. */
export const INTERRUPTED = 130;

/** What ends a command with a message on stderr and an exit code; anything else thrown is a fault of ours. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A flag or an argument that cannot be understood. The command's usage line follows the message. */
export class UsageError extends CommandError {
  /** Whether the program's name goes before the message, as the docker CLI does for arguments but not for flags. */
  readonly prefixed: boolean;

  constructor(message: string, options: { exitCode: number; prefixed: boolean }) {
    super(message, options.exitCode);
    this.prefixed = options.prefixed;
  }
}
