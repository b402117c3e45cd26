import { asSwarmdError, type Clock, type NetworkAudits, pause } from '@swarmd/model';
import type { Logger } from 'pino';

/** Once this node is in a cluster, it is told of its networks within this time. */
const FIRST_LOOK_MS = 10_000;
/** What is in the way changes with the host, not with the cluster. */
const LOOK_MS = 10 * 60_000;

/** What of this host stands in the way of its networks, looked at when the node joins and now and then. */
export interface NetworkHealth {
  /** As of the last look, each a sentence for people. */
  readonly warnings: readonly string[];
  stop(): Promise<void>;
}

/** Starts looking; what is new is logged, with what is to be done about it. */
export function startNetworkHealth(
  audits: NetworkAudits,
  { clock, logger }: { clock: Clock; logger: Logger },
): NetworkHealth {
  const stopped = new AbortController();
  let warnings: readonly string[] = [];
  let known = new Set<string>();
  const look = async (): Promise<void> => {
    try {
      const { findings } = await audits.audit({ repair: false }, stopped.signal);
      // What differs in the kernel swarmd-net mends by itself within a minute.
      const serious = findings.filter(({ Level, Code }) => Level !== 'note' && Code !== 'kernel');
      for (const { What, Do, Code } of serious) {
        if (!known.has(What)) logger.warn({ code: Code, advice: Do }, What);
      }
      known = new Set(serious.map(({ What }) => What));
      warnings = serious.map(({ What, Do }) => (Do === '' ? What : `${What}: ${Do}`));
    } catch (thrown) {
      logger.debug({ reason: asSwarmdError(thrown).message }, 'the host could not be looked at');
    }
  };
  const run = async (): Promise<void> => {
    await pause(clock, FIRST_LOOK_MS, stopped.signal);
    while (!stopped.signal.aborted) {
      await look();
      await pause(clock, LOOK_MS, stopped.signal);
    }
  };
  const running = run();
  return {
    get warnings() {
      return warnings;
    },
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}
