import type { CommandContext } from '../../program/command.js';
import { bool } from '../../program/flag-types.js';

/** `--detach` of commands that otherwise wait until a service has converged. */
export const detachFlag = bool('Exit immediately instead of waiting for the service to converge', { short: 'd' });
/** `--quiet` of commands with progress. */
export const quietProgressFlag = bool('Suppress progress output', { short: 'q' });

/** Flags that `service create` and `service update` have besides those for the spec. */
export const WRITE_FLAGS = {
  detach: detachFlag,
  quiet: quietProgressFlag,
  'no-resolve-image': bool('Do not query the registry to resolve image digest and supported platforms'),
  'with-registry-auth': bool('Send registry authentication details to swarm agents'),
};

/** Prints the daemon's warnings. */
export function printWarnings(
  context: Pick<CommandContext, 'err'>,
  warnings: readonly string[] | null | undefined,
): void {
  for (const warning of warnings ?? []) context.err.write(`${warning}\n`);
}
