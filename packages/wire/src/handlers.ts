import type { handleClientStreamingCall, handleUnaryCall, ServerReadableStream, ServerUnaryCall } from '@grpc/grpc-js';
import { type Peer, peerOf } from './peer.js';
import { toGrpcStatus } from './status.js';

/** What a handler is told about its caller. */
export interface CallContext {
  /** `undefined` for a caller without a certificate of the cluster, on methods open to anyone. */
  peer: Peer | undefined;
  /** Fires when the caller has gone. */
  signal: AbortSignal;
}

/** A gRPC handler from an async function; what it throws becomes the call's status. */
export function unaryHandler<Request, Response>(
  handle: (request: Request, context: CallContext) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    handle(call.request, contextOf(call)).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toGrpcStatus(error)),
    );
  };
}

/** What a handler of a stream of requests is told besides. */
export interface StreamContext extends CallContext {
  /** Ends the iteration over the requests, though more may come: it then throws. */
  stopReading(): void;
}

/** As {@link unaryHandler}, for a stream of requests; messages are read no faster than `handle` takes them. */
export function clientStreamHandler<Request, Response>(
  handle: (requests: AsyncIterable<Request>, context: StreamContext) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    const context = { ...contextOf(call), stopReading: () => void call.destroy() };
    handle(call as AsyncIterable<Request>, context).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toGrpcStatus(error)),
    );
  };
}

function contextOf(call: ServerUnaryCall<unknown, unknown> | ServerReadableStream<unknown, unknown>): CallContext {
  const abort = new AbortController();
  call.on('cancelled', () => abort.abort());
  return { peer: peerOf(call), signal: abort.signal };
}
