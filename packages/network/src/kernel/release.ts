import type { Commands } from './commands.js';

/** What connection tracking is to forget, in the background: with many connections that takes a while. */
export interface Releases {
  /**
   * Carries out `lines` of `conntrack` in the namespace `path`, soon. What comes while others are carried out there follows
   * them, together.
   */
  add(path: string, lines: readonly string[]): void;
  /** Why the last ones in the namespace could not be; `undefined` when they were. */
  failure(path: string): string | undefined;
}

/** The lines that let go of attempts which were led to backends that are none any more. */
export function attemptLines(left: readonly string[]): string[] {
  // Connections not yet answered and UDP flows would stay with them until they time out. Others are left alone.
  return left.flatMap((address) => [
    `-D -p tcp --state SYN_SENT --dst-nat ${address}`,
    `-D -p udp --dst-nat ${address}`,
  ]);
}

/** {@link Releases}; `failed` is called whenever some could not be carried out. */
export function createReleases(commands: Commands, failed: (path: string, error: unknown) => void): Releases {
  const waiting = new Map<string, Set<string>>();
  const underWay = new Set<string>();
  const failures = new Map<string, string>();
  const carryOut = async (path: string): Promise<void> => {
    underWay.add(path);
    for (let lines = waiting.get(path); lines !== undefined; lines = waiting.get(path)) {
      waiting.delete(path);
      try {
        // It opens its standard input by name, which no socket can be, and Node.js gives it one.
        await commands.run(path, ['sh', '-c', 'cat | conntrack -R -'], `${[...lines].join('\n')}\n`);
        failures.delete(path);
      } catch (error) {
        failures.set(path, error instanceof Error ? error.message : String(error));
        failed(path, error);
      }
    }
    underWay.delete(path);
  };
  return {
    add(path, lines) {
      if (lines.length === 0) return;
      const all = waiting.get(path) ?? new Set();
      for (const line of lines) all.add(line);
      waiting.set(path, all);
      if (!underWay.has(path)) void carryOut(path);
    },
    failure: (path) => failures.get(path),
  };
}
