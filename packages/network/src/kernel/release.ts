import type { Commands } from './commands.js';

/** What connection tracking is to forget, in the background: with many connections that takes a while. */
export interface Releases {
  /**
   * Carries out `lines` of `conntrack` in the namespace `path`, soon: one namespace after another, so that what changes
   * networks has room beside it. What comes meanwhile for the same namespace follows together.
   */
  add(path: string, lines: readonly string[]): void;
  /** Why it could not be done the last time anywhere; `undefined` when it was. */
  readonly failure: string | undefined;
}

/** The lines that let go of attempts which were led to backends that are none any more. */
export function attemptLines(left: readonly string[]): string[] {
  // Connections not yet answered and UDP flows would stay with them until they time out. Others are left alone.
  return left.flatMap((address) => [
    `-D -p tcp --state SYN_SENT --dst-nat ${address}`,
    `-D -p udp --dst-nat ${address}`,
  ]);
}

/** {@link Releases}; `failed` is told whenever some could not be carried out. They are not tried again. */
export function createReleases(commands: Commands, failed: (path: string, error: unknown) => void): Releases {
  const waiting = new Map<string, Set<string>>();
  let underWay = false;
  let failure: string | undefined;
  const carryOut = async (path: string, lines: ReadonlySet<string>): Promise<void> => {
    try {
      // It opens its standard input by name, which no socket can be, and Node.js gives it one.
      await commands.run(path, ['sh', '-c', 'cat | conntrack -R -'], `${[...lines].join('\n')}\n`);
      failure = undefined;
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      failed(path, error);
    }
  };
  const work = async (): Promise<void> => {
    for (let [next] = waiting; next !== undefined; [next] = waiting) {
      waiting.delete(next[0]);
      await carryOut(...next);
    }
  };
  return {
    add(path, lines) {
      if (lines.length === 0) return;
      const all = waiting.get(path) ?? new Set();
      for (const line of lines) all.add(line);
      waiting.set(path, all);
      if (underWay) return;
      underWay = true;
      void work().finally(() => {
        underWay = false;
      });
    },
    get failure() {
      return failure;
    },
  };
}
