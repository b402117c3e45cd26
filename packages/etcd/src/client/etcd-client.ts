import { credentials, type ServiceError } from '@grpc/grpc-js';
import * as rpc from '../gen/etcd/rpc.js';
import { ETCD_CALL_TIMEOUT_MS } from '../limits.js';
import { type EtcdCallOptions, EtcdConnection, type EtcdTls, type UnaryMethod } from './connection.js';
import { fromEtcdError } from './errors.js';
import { startWatch, type WatchHandlers } from './watch.js';

/** What {@link createEtcdClient} needs. */
export interface EtcdClientOptions {
  /** One member's client address: `host:port`; or those of several, `IP:port,IP:port`, to be tried in this order. */
  endpoint: string;
  /** Without it, plain HTTP/2. */
  tls?: EtcdTls;
  /** How long calls may take that do not say, in milliseconds. */
  timeoutMs?: number;
}

type Call<Request, Response> = (request: Request, options?: EtcdCallOptions) => Promise<Response>;

/**
 * A client of one etcd member at a time: etcd's own calls (gRPC API v3), with what is left out of a request at its default.
 *
 * Calls wait for a connection and go out once; nothing is sent again. They reject with a `SwarmdError`: `unavailable` when
 * there was no answer in time or no quorum (whether something was done then, `surelyNotApplied` tells), `aborted` by the
 * caller's signal, `out-of-sequence` for a revision that was compacted or is to come, `invalid-argument` for a request
 * that is too large, `damaged`, or as etcd refuses it.
 */
export interface EtcdClient {
  range: Call<Partial<rpc.RangeRequest>, rpc.RangeResponse>;
  put: Call<rpc.PutRequest, rpc.PutResponse>;
  deleteRange: Call<Partial<rpc.DeleteRangeRequest>, rpc.DeleteRangeResponse>;
  txn: Call<Partial<rpc.TxnRequest>, rpc.TxnResponse>;
  compact: Call<Partial<rpc.CompactionRequest>, rpc.CompactionResponse>;
  /** One watch, from when there is a connection to when it is lost. The returned function ends it silently. */
  watch(request: Partial<rpc.WatchCreateRequest>, handlers: WatchHandlers): () => void;
  alarm: Call<Partial<rpc.AlarmRequest>, rpc.AlarmResponse>;
  /** Of this member, answered without a quorum. */
  status: Call<rpc.StatusRequest, rpc.StatusResponse>;
  defragment: Call<rpc.DefragmentRequest, rpc.DefragmentResponse>;
  hashKv: Call<Partial<rpc.HashKVRequest>, rpc.HashKVResponse>;
  moveLeader: Call<rpc.MoveLeaderRequest, rpc.MoveLeaderResponse>;
  /** The member's whole database, piece by piece. Throws as calls reject. */
  snapshot(options?: EtcdCallOptions): AsyncIterable<Buffer>;
  memberAdd: Call<Partial<rpc.MemberAddRequest>, rpc.MemberAddResponse>;
  memberRemove: Call<rpc.MemberRemoveRequest, rpc.MemberRemoveResponse>;
  memberUpdate: Call<rpc.MemberUpdateRequest, rpc.MemberUpdateResponse>;
  memberList: Call<rpc.MemberListRequest, rpc.MemberListResponse>;
  memberPromote: Call<rpc.MemberPromoteRequest, rpc.MemberPromoteResponse>;
  /** Ends the connection, with all calls and watches on it. */
  close(): void;
}

/** A client of the etcd member at `endpoint`. It connects with the first call. Throws `invalid-argument` on bad PEM or a list of names. */
export function createEtcdClient({ endpoint, tls, timeoutMs = ETCD_CALL_TIMEOUT_MS }: EtcdClientOptions): EtcdClient {
  const connection = new EtcdConnection(endpoint, tls, timeoutMs);
  const { channel } = connection;
  const shared = [channel.getTarget(), credentials.createInsecure(), { channelOverride: channel }] as const;
  const kv = new rpc.KVClient(...shared);
  const watching = new rpc.WatchClient(...shared);
  const cluster = new rpc.ClusterClient(...shared);
  const maintenance = new rpc.MaintenanceClient(...shared);
  /** A call that completes its request with `defaults`. */
  const call = <Request extends object, Response>(
    method: UnaryMethod<Request, Response>,
    defaults: Request,
  ): Call<Partial<Request>, Response> => {
    return (request, options) => connection.unary(method, { ...defaults, ...request }, options);
  };
  return {
    range: call(kv.range.bind(kv), rpc.RangeRequest.create()),
    put: call(kv.put.bind(kv), rpc.PutRequest.create()),
    deleteRange: call(kv.deleteRange.bind(kv), rpc.DeleteRangeRequest.create()),
    txn: call(kv.txn.bind(kv), rpc.TxnRequest.create()),
    compact: call(kv.compact.bind(kv), rpc.CompactionRequest.create()),
    watch: (request, handlers) => startWatch(connection, watching, request, handlers),
    alarm: call(maintenance.alarm.bind(maintenance), rpc.AlarmRequest.create()),
    status: call(maintenance.status.bind(maintenance), rpc.StatusRequest.create()),
    defragment: call(maintenance.defragment.bind(maintenance), rpc.DefragmentRequest.create()),
    hashKv: call(maintenance.hashKv.bind(maintenance), rpc.HashKVRequest.create()),
    moveLeader: call(maintenance.moveLeader.bind(maintenance), rpc.MoveLeaderRequest.create()),
    snapshot: (options) => snapshot(connection, maintenance, options ?? {}, timeoutMs),
    memberAdd: call(cluster.memberAdd.bind(cluster), rpc.MemberAddRequest.create()),
    memberRemove: call(cluster.memberRemove.bind(cluster), rpc.MemberRemoveRequest.create()),
    memberUpdate: call(cluster.memberUpdate.bind(cluster), rpc.MemberUpdateRequest.create()),
    memberList: call(cluster.memberList.bind(cluster), rpc.MemberListRequest.create()),
    memberPromote: call(cluster.memberPromote.bind(cluster), rpc.MemberPromoteRequest.create()),
    close: () => connection.close(),
  };
}

async function* snapshot(
  connection: EtcdConnection,
  client: rpc.MaintenanceClient,
  { timeoutMs, signal }: EtcdCallOptions,
  connectTimeoutMs: number,
): AsyncGenerator<Buffer> {
  await connection.connected(Date.now() + (timeoutMs ?? connectTimeoutMs), signal);
  const stream = client.snapshot({}, timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs });
  const forget = connection.onGivenUp(() => stream.cancel(), signal);
  try {
    for await (const { blob } of stream as AsyncIterable<rpc.SnapshotResponse>) yield blob;
  } catch (error) {
    throw fromEtcdError(error as ServiceError, signal?.aborted ?? false);
  } finally {
    forget();
    stream.cancel();
  }
}
