import { type Control, idFromBytes, type Random } from '@swarmd/model';
import type { LeaderCallHandlers, LeaderCalls } from './leader-calls.js';

/** The methods of control that write: the leader does them, whoever is asked. */
const WRITES = [
  'createService',
  'updateService',
  'removeService',
  'updateNode',
  'removeNode',
  'createSecret',
  'updateSecret',
  'removeSecret',
  'createConfig',
  'updateConfig',
  'removeConfig',
  'createNetwork',
  'removeNetwork',
  'updateCluster',
] as const satisfies readonly (keyof Control)[];

/** Control on any manager: it reads from this manager's copy of the state, and has the leader write. */
export function forwardingControl(local: Control, calls: LeaderCalls, random: Random, alone: () => boolean): Control {
  const writes = WRITES.map((method) => {
    // A manager that is alone cannot lose an answer on the way: no request needs to be remembered.
    const requestId = (): { requestId: string } | undefined =>
      alone() ? undefined : { requestId: idFromBytes(random.bytes(17)) };
    return [method, (...args: unknown[]) => calls.call(methodName(method), args, requestId())];
  });
  return { ...local, ...(Object.fromEntries(writes) as Pick<Control, (typeof WRITES)[number]>) };
}

/** The leader's side of {@link forwardingControl}: `controlOf` makes the control for one request. */
export function controlHandlers(controlOf: (requestId: string | undefined) => Control): LeaderCallHandlers {
  const handlers = WRITES.map((method) => [
    methodName(method),
    async (args: unknown, { requestId }: { requestId: string | undefined }) => {
      const control = controlOf(requestId);
      return (control[method] as (...given: unknown[]) => Promise<unknown>)(...(args as unknown[]));
    },
  ]);
  return Object.fromEntries(handlers) as LeaderCallHandlers;
}

function methodName(method: string): string {
  return `control.${method}`;
}
