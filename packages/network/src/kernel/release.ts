import type { Commands } from './commands.js';

/**
 * Lets go of attempts that were led to backends which are none any more: connections not yet answered and UDP flows
 * would stay with them until they time out. Connections that exist are left alone.
 */
export async function releaseAttempts(commands: Commands, path: string, left: readonly string[]): Promise<void> {
  if (left.length === 0) return;
  const lines = left.flatMap((address) => [
    `-D -p tcp --state SYN_SENT --dst-nat ${address}`,
    `-D -p udp --dst-nat ${address}`,
  ]);
  // It opens its standard input by name, which no socket can be, and Node.js gives it one.
  await commands.run(path, ['sh', '-c', 'cat | conntrack -R -'], `${lines.join('\n')}\n`);
}
