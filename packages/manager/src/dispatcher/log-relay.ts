import type { ClientReadableStream, ServerWritableStream } from '@grpc/grpc-js';
import { type Clock, type LogsOptions, SwarmdError } from '@swarmd/model';
import {
  clientArguments,
  LogRelayClient,
  type LogRelayServer,
  type ReadLogsRequest,
  type RelayedLogs,
  RelayedLogs_Kind,
  toGrpcStatus,
} from '@swarmd/wire';
import type { Logger } from 'pino';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import type { LogAsk, LogSink, NodeLogs } from './node-logs.js';

/** Readers at other managers that one manager serves at once. */
const MAX_READERS = 4_000;
/** Another manager that says nothing within this time cannot be reached. */
const FIRST_WORD_MS = 5_000;

/** Reads logs of nodes that are connected to other managers. */
export interface LogRelay {
  /**
   * Asks a manager for logs of its nodes, each node once. Returns what takes each question back, in order; `undefined`
   * when the manager is not known. A manager that cannot be reached loses all of its nodes.
   */
  ask(managerId: string, asks: readonly { ask: LogAsk; sink: LogSink }[]): (() => void)[] | undefined;
}

/** A {@link LogRelay} over the channels to the other managers. */
export function createLogRelay({ peers, clock }: { peers: ManagerPeers; clock: Clock }): LogRelay {
  return {
    ask: (managerId, asks) => {
      const channel = peers.channel(managerId);
      if (channel === undefined) return undefined;
      const nodes = asks.map(({ ask: { nodeId, taskIds, options } }) => ({
        ...{ nodeId, taskIds: [...taskIds], options: Buffer.from(JSON.stringify(options)) },
      }));
      // The client is not closed: that would close the channel, which others use.
      const call = new LogRelayClient(...clientArguments(channel)).readLogs({ nodes });
      const open = new Map(asks.map(({ ask, sink }) => [ask.nodeId, { sink, asked: false }]));
      void readAnswers(call, open, clock);
      return asks.map(({ ask }) => () => {
        if (open.delete(ask.nodeId) && open.size === 0) call.cancel();
      });
    },
  };
}

async function readAnswers(
  call: ClientReadableStream<RelayedLogs>,
  open: Map<string, { sink: LogSink; asked: boolean }>,
  clock: Clock,
): Promise<void> {
  const cancelTimeout = clock.after(FIRST_WORD_MS, () => call.cancel());
  try {
    for await (const answer of call as AsyncIterable<RelayedLogs>) {
      cancelTimeout();
      const node = open.get(answer.nodeId);
      if (node === undefined) continue;
      const { sink } = node;
      if (answer.kind === RelayedLogs_Kind.KIND_ASKED) node.asked = true;
      else if (answer.kind === RelayedLogs_Kind.KIND_ERROR) sink.tell(answer.error);
      else if (answer.kind === RelayedLogs_Kind.KIND_RECORDS) await sink.take(answer.records);
      else {
        open.delete(answer.nodeId);
        if (answer.kind === RelayedLogs_Kind.KIND_ENDED) sink.end();
        else sink.lost(node.asked);
      }
    }
  } catch {
    // The manager is gone or does not answer: below that is said of each node.
  } finally {
    cancelTimeout();
    for (const [nodeId, { sink, asked }] of [...open]) {
      open.delete(nodeId);
      sink.lost(asked);
    }
    call.cancel();
  }
}

type RelayCall = ServerWritableStream<ReadLogsRequest, RelayedLogs>;

/** The service by which other managers read logs of the nodes that are connected to this one. */
export function createLogRelayService({ nodeLogs, logger }: { nodeLogs: NodeLogs; logger: Logger }): {
  service: LogRelayServer;
  /** Ends every reader. */
  stop(): void;
} {
  const readers = new Set<RelayCall>();
  const fail = (call: RelayCall, code: 'unavailable' | 'invalid-argument', message: string): void => {
    call.emit('error', toGrpcStatus(new SwarmdError(code, message)));
  };
  const readLogs = (call: RelayCall): void => {
    const asks = asksIn(call.request);
    if (asks === undefined || readers.size >= MAX_READERS) {
      if (asks === undefined) fail(call, 'invalid-argument', 'the options of a log reader cannot be used');
      else fail(call, 'unavailable', 'too many log readers');
      return;
    }
    readers.add(call);
    serveReader(call, asks, nodeLogs, () => readers.delete(call));
    logger.debug({ nodes: asks.length }, 'another manager reads logs');
  };
  return {
    service: { readLogs },
    stop: () => {
      for (const call of [...readers]) fail(call, 'unavailable', 'the manager is stopping');
    },
  };
}

function asksIn({ nodes }: ReadLogsRequest): LogAsk[] | undefined {
  try {
    return nodes.map(({ nodeId, taskIds, options }) => ({
      ...{ nodeId, taskIds, options: JSON.parse(Buffer.from(options).toString('utf8')) as LogsOptions },
    }));
  } catch {
    return undefined;
  }
}

function serveReader(call: RelayCall, asks: readonly LogAsk[], nodeLogs: NodeLogs, onEnd: () => void): void {
  const cancels: (() => void)[] = [];
  let open = true;
  let left = asks.length;
  let waiting: (() => void)[] = [];

  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const go of woken) go();
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    for (const cancel of cancels) cancel();
    wake();
    onEnd();
  };
  /** Resolves once the reader has room for more. */
  const write = async (answer: RelayedLogs): Promise<boolean> => {
    if (!open) return false;
    if (!call.write(answer)) await new Promise<void>((resolve) => waiting.push(resolve));
    return open;
  };
  const done = (): void => {
    left -= 1;
    if (left > 0 || !open) return;
    call.end();
    close();
  };
  call.on('drain', wake);
  for (const event of ['cancelled', 'error', 'close']) call.on(event, close);

  const say = (nodeId: string, kind: RelayedLogs['kind'], over: Partial<RelayedLogs> = {}): Promise<boolean> =>
    write({ nodeId, kind, records: [], error: '', ...over });
  const last = (nodeId: string, kind: RelayedLogs['kind']): void => void say(nodeId, kind).finally(done);
  for (const ask of asks) {
    const { nodeId } = ask;
    const cancel = nodeLogs.ask(ask, {
      take: (records) => say(nodeId, RelayedLogs_Kind.KIND_RECORDS, { records: [...records] }),
      tell: (error) => void say(nodeId, RelayedLogs_Kind.KIND_ERROR, { error }),
      end: () => last(nodeId, RelayedLogs_Kind.KIND_ENDED),
      lost: () => last(nodeId, RelayedLogs_Kind.KIND_LOST),
    });
    if (cancel === undefined) last(nodeId, RelayedLogs_Kind.KIND_LOST);
    else {
      cancels.push(cancel);
      void say(nodeId, RelayedLogs_Kind.KIND_ASKED);
    }
  }
  if (asks.length === 0) call.end();
}
