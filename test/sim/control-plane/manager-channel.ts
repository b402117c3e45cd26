import { SessionProbeService } from '@swarmd/wire';

/** The methods that managers call on each other's channels, as their generated clients name them. */
const METHODS = Object.values(SessionProbeService) as unknown as ProbeMethod[];

interface ProbeMethod {
  path: string;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(message: unknown): Buffer;
}

/** How a call ended: a gRPC status code, 0 with a message. */
export interface Outcome {
  code: number;
  details: string;
  message?: unknown;
  metadata?: unknown;
}

/** Carries out one call of a method (`probe`, `awaitEndpoints`); the returned function gives it up. */
export type CarryOut = (
  method: string,
  request: unknown,
  timeoutMs: number,
  done: (outcome: Outcome) => void,
) => () => void;

interface Listener {
  onReceiveMessage(message: Buffer): void;
  onReceiveStatus(status: { code: number; details: string; metadata: unknown }): void;
}

const CANCELLED = 1;

/** A gRPC channel for generated clients, whose calls are carried out by `carryOut`. */
export function simulatedChannel(target: string, carryOut: CarryOut): unknown {
  return {
    getTarget: () => target,
    close: () => {},
    getConnectivityState: () => 2,
    createCall: (path: string, deadline: number) => {
      const method = METHODS.find((known) => known.path === path);
      if (method === undefined) throw new Error(`no simulated manager serves ${path}`);
      let listener: Listener | undefined;
      let sentMetadata: unknown;
      let over = false;
      let giveUp = (): void => {};
      const finish = ({ code, details, message, metadata = sentMetadata }: Outcome): void => {
        if (over) return;
        over = true;
        if (code === 0) listener?.onReceiveMessage(method.responseSerialize(message));
        listener?.onReceiveStatus({ code, details, metadata });
      };
      return {
        start: (sent: unknown, to: Listener) => {
          sentMetadata = sent;
          listener = to;
        },
        sendMessageWithContext: (_: unknown, bytes: Buffer) => {
          // The deadline is of the machine's clock: it may have moved on by some milliseconds.
          const timeoutMs = 100 * Math.round((deadline - Date.now()) / 100);
          const name = path.slice(path.lastIndexOf('/') + 1);
          giveUp = carryOut(
            name[0]!.toLowerCase() + name.slice(1),
            method.requestDeserialize(bytes),
            timeoutMs,
            finish,
          );
        },
        cancelWithStatus: (code: number, details: string) => {
          giveUp();
          finish({ code: code || CANCELLED, details });
        },
        startRead: () => {},
        halfClose: () => {},
        setCredentials: () => {},
        getPeer: () => target,
        getCallNumber: () => 0,
        getAuthContext: () => null,
      };
    },
  };
}
