import type { ServiceError } from '@grpc/grpc-js';
import { SwarmdError } from '@swarmd/model';
import {
  type WatchClient,
  WatchCreateRequest as WatchCreate,
  type WatchCreateRequest,
  type WatchResponse,
} from '../gen/etcd/rpc.js';
import type { EtcdConnection } from './connection.js';
import { fromEtcdError, notSent } from './errors.js';

/** What the user of a watch is told. */
export interface WatchHandlers {
  /**
   * An answer of etcd, in order: the events of one or more whole revisions, or none (created, progress). With `canceled`
   * it is the last; `compactRevision` is not 0 then when events before that revision are gone. While a promise that was
   * returned is pending, no other answer comes. It must not reject.
   */
  onResponse(response: WatchResponse): Promise<void> | undefined;
  /** The watch ended otherwise than by its end function: the connection was lost, say. Called once. */
  onEnd(error: SwarmdError): void;
}

/** Starts one watch on a stream of its own. It does not outlive the connection. The returned function ends it. */
export function startWatch(
  connection: EtcdConnection,
  client: WatchClient,
  request: Partial<WatchCreateRequest>,
  { onResponse, onEnd }: WatchHandlers,
): () => void {
  if (connection.closed) {
    queueMicrotask(() => onEnd(notSent('unavailable', 'the client is closed')));
    return () => {};
  }
  const stream = client.watch();
  let ended = false;
  const end = (error?: SwarmdError): void => {
    if (ended) return;
    ended = true;
    forget();
    stream.cancel();
    if (error !== undefined) onEnd(error);
  };
  const forget = connection.onGivenUp(() => end(notSent('unavailable', 'the client is closed')), undefined);
  stream.on('data', (response: WatchResponse) => {
    if (ended) return;
    const handled = onResponse(response);
    if (handled === undefined) return;
    stream.pause();
    void handled.finally(() => stream.resume());
  });
  stream.on('error', (error) => end(fromEtcdError(error as ServiceError, false)));
  stream.on('end', () => end(new SwarmdError('unavailable', 'etcd ended the watch')));
  stream.write({ requestUnion: { $case: 'createRequest', value: { ...WatchCreate.create(), ...request } } });
  return () => end();
}
