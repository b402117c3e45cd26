import type { LeaderLineHandlers, ManagerCallOptions, ManagerNetwork, ManagerServices } from '@swarmd/manager';
import { SwarmdError } from '@swarmd/model';
import { fromGrpcError, toGrpcStatus } from '@swarmd/wire';
import { ServerCall } from '../support/server-call.js';
import { type Outcome, simulatedChannel } from './manager-channel.js';
import type { Connection, Network } from './network.js';
import type { Process } from './process.js';

/** A manager's process, and what it serves once it does. */
export interface ServingManager {
  process: Process;
  services: ManagerServices | undefined;
}

/** Finds managers by address, as the network would. */
export type FindManager = (addr: string) => ServingManager | undefined;

type Unary = (call: unknown, callback: (error: unknown, response?: unknown) => void) => void;

/** A manager's place in the simulated network: the real services behind simulated calls. */
export function simulatedNetwork(self: ServingManager, network: Network, find: FindManager): ManagerNetwork {
  const { process } = self;
  const serving = (addr: string): ManagerServices | undefined => find(addr)?.services;
  const unary = (
    addr: string,
    pick: (services: ManagerServices) => Unary,
    request: unknown,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        cancel();
        signal?.removeEventListener('abort', aborted);
        connection.close();
        settle();
      };
      const aborted = (): void => end(() => reject(signal!.reason as Error));
      const cancel = process.clock.after(timeoutMs, () =>
        end(() => reject(new SwarmdError('deadline-exceeded', 'no answer in time'))),
      );
      const gone = new SwarmdError('unavailable', 'the connection broke');
      const connection = network.connect(process, hostOf(addr), () => running(find(addr)), {
        broken: (side) => {
          if (side === 'caller') end(() => reject(gone));
        },
      });
      signal?.addEventListener('abort', aborted, { once: true });
      connection.send('callee', () => {
        const call = new ServerCall({ nodeId: process.host, role: 'manager' }, request, ignore, ignore);
        pick(serving(addr)!)(call, (error, response) =>
          connection.send('caller', () => end(() => (error ? reject(fromGrpcError(error)) : resolve(response)))),
        );
      });
    });
  return {
    channel: (addr) => {
      const channel = simulatedChannel(addr, (method, request, timeoutMs, done) => {
        const over = new AbortController();
        const pick = ({ probe }: ManagerServices): Unary => (probe as unknown as Record<string, Unary>)[method]!;
        unary(addr, pick, request, { timeoutMs, signal: over.signal }).then(
          (message) => done({ code: 0, details: '', message }),
          (error: unknown) => done(toGrpcStatus(error) as Outcome),
        );
        return () => over.abort(new SwarmdError('aborted', 'given up'));
      });
      return channel as ReturnType<ManagerNetwork['channel']>;
    },
    attach: (addr, first, handlers) => attach(process, network, addr, find, first, handlers),
    call: async (addr, method, args, { requestId = '', ...options }: ManagerCallOptions) => {
      const request = {
        method,
        arguments: Buffer.from(args === undefined ? '' : JSON.stringify(args)),
        requestId,
        protocol: 1,
      };
      const answer = await unary(addr, ({ cluster }) => cluster.call as unknown as Unary, request, options);
      const text = (answer as { result: Buffer }).result.toString();
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
    hears: async (addr, term, options) => {
      const answer = await unary(addr, ({ cluster }) => cluster.hears as unknown as Unary, { term }, options);
      return (answer as { hears: boolean }).hears;
    },
    serve: async (services) => {
      self.services = services;
      return PORT;
    },
    stop: async () => {
      self.services = undefined;
    },
    close: () => {},
  };
}

/** The port that managers listen on. */
export const PORT = 2377;

/** The host of an address. */
export function hostOf(addr: string): string {
  return addr.slice(0, addr.indexOf(':'));
}

function running(manager: ServingManager | undefined): Process | undefined {
  return manager?.services === undefined ? undefined : manager.process;
}

function attach(
  process: Process,
  network: Network,
  addr: string,
  find: FindManager,
  first: unknown,
  handlers: LeaderLineHandlers,
): { sign(): void; end(): void } {
  const opened = openStream(
    { process, network, addr, find, peer: { nodeId: process.host, role: 'manager' } },
    (services, call) => (services.cluster.attach as unknown as (call: ServerCall) => void)(call),
    (message) => handlers.onSign((message as { term: number }).term),
    (error) => handlers.onEnd(error ?? new SwarmdError('unavailable', 'the leader ended the line')),
  );
  opened.write(first);
  return {
    sign: () => opened.write({ swarmdVersion: '', protocol: 0, clockMs: 0, addr: '' }),
    end: () => opened.cancel(),
  };
}

/** The caller's end of a stream. */
export interface ClientStream {
  write(message: unknown): void;
  /** Ends it on both sides; nothing more is heard. */
  cancel(): void;
}

/** Opens a stream to a manager, served by the real service at its other end. */
export function openStream(
  where: {
    process: Process;
    network: Network;
    addr: string;
    find: FindManager;
    peer: { nodeId: string; role: 'manager' | 'worker' };
  },
  serve: (services: ManagerServices, call: ServerCall) => void,
  onMessage: (message: unknown) => void,
  onEnd: (error: SwarmdError | undefined) => void,
): ClientStream {
  const { process, network, addr, find, peer } = where;
  let over = false;
  let call: ServerCall | undefined;
  const finish = (error: SwarmdError | undefined): void => {
    if (over) return;
    over = true;
    onEnd(error);
  };
  const connection: Connection = network.connect(process, hostOf(addr), () => running(find(addr)), {
    broken: (side) => {
      if (side === 'caller') finish(new SwarmdError('unavailable', 'the connection broke'));
      else call?.cancelled();
    },
  });
  connection.send('callee', () => {
    call = new ServerCall(
      peer,
      undefined,
      (message) => connection.send('caller', () => over || onMessage(message)),
      (error) => connection.send('caller', () => finish(error === undefined ? undefined : fromGrpcError(error))),
    );
    serve(find(addr)!.services!, call);
  });
  return {
    write: (message) => {
      if (!over) connection.send('callee', () => call?.deliver(message));
    },
    cancel: () => {
      if (over) return;
      over = true;
      connection.send('callee', () => call?.cancelled());
    },
  };
}

function ignore(): void {}
