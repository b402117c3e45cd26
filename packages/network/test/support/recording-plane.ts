import type { NodeNetwork } from '@swarmd/model';
import type { NetworkMembers, NetworkPlane } from '../../src/parts.js';

/** A plane that only notes what it is asked, waits where it is told to, and fails where it is told to. */
export interface RecordingPlane extends NetworkPlane {
  calls: string[];
  /** While set, calls whose text begins with it wait. */
  hold(prefix: string): () => void;
  /** Calls whose text begins with it fail. */
  failing: Set<string>;
}

/** Calls are noted when they begin. */
export function recordingPlane(): RecordingPlane {
  const calls: string[] = [];
  const failing = new Set<string>();
  const held = new Map<string, Promise<void>>();
  const note = async (text: string): Promise<void> => {
    calls.push(text);
    for (const [prefix, until] of held) if (text.startsWith(prefix)) await until;
    for (const prefix of failing) if (text.startsWith(prefix)) throw new Error(`${prefix} fails`);
  };
  const ids = ({ endpoints }: NetworkMembers): string => [...endpoints.keys()].sort().join();
  return {
    calls,
    failing,
    hold(prefix) {
      let release = (): void => {};
      held.set(prefix, new Promise((resolve) => (release = resolve)));
      return () => {
        held.delete(prefix);
        release();
      };
    },
    configure: ({ addr }) => note(`configure ${addr}`),
    ensure: ({ id }: NodeNetwork) => note(`ensure ${id}`),
    remove: (id) => note(`remove ${id}`),
    async plug({ id }, { endpointId }) {
      await note(`plug ${id} ${endpointId}`);
      return { interfaceName: `vc${endpointId}` };
    },
    unplug: (id, endpointId) => note(`unplug ${id} ${endpointId}`),
    apply: ({ id }, members) => note(`apply ${id} ${ids(members)}`),
    async audit({ id }) {
      await note(`audit ${id}`);
      return [];
    },
    reset: () => note('reset'),
  };
}
