import { idFromBytes, type LogsOptions, type Random, SwarmdError } from '@swarmd/model';
import type { PublishLogsRequest, PublishLogsResponse, LogRecord as WireRecord } from '@swarmd/wire';
import type { SessionRegistry } from './registry.js';

/** What is asked of one node. */
export interface LogAsk {
  nodeId: string;
  taskIds: readonly string[];
  options: LogsOptions;
}

/** Where a node's answer goes. After `end` or `lost` nothing more comes. */
export interface LogSink {
  /** Resolves once there was room; `false` when nobody reads any more. */
  take(records: readonly WireRecord[]): Promise<boolean>;
  /** Why a task's logs are missing, for people. */
  tell(error: string): void;
  /** The node has sent all that it will. */
  end(): void;
  /** The node's session or its stream has ended before; `asked`: after the node had been asked at all. */
  lost(asked: boolean): void;
}

interface Asked {
  nodeId: string;
  sink: LogSink;
  /** Ends the stream in which the node answers, once it does. */
  stopReading?: () => void;
}

/**
 * Asks nodes with a session at this manager for log lines, and takes their answers. A node's stream waits as long as its
 * sink does.
 */
export class NodeLogs {
  readonly #registry: SessionRegistry;
  readonly #random: Random;
  readonly #asked = new Map<string, Asked>();

  constructor({ registry, random }: { registry: SessionRegistry; random: Random }) {
    this.#registry = registry;
    this.#random = random;
  }

  /** Asks a node; the returned function takes the question back. `undefined` when the node has no session here. */
  ask({ nodeId, taskIds, options }: LogAsk, sink: LogSink): (() => void) | undefined {
    const session = this.#registry.get(nodeId);
    if (session === undefined || !session.begun) return undefined;
    const id = idFromBytes(this.#random.bytes(17));
    this.#asked.set(id, { nodeId, sink });
    const value = { id, taskIds: [...taskIds], options: Buffer.from(JSON.stringify(options)) };
    session.stream.send({ $case: 'logSubscription', value });
    return () => {
      const asked = this.#asked.get(id);
      if (!this.#asked.delete(id)) return;
      asked?.stopReading?.();
      this.#registry.get(nodeId)?.stream.send({ $case: 'logUnsubscription', value: { id } });
    };
  }

  /**
   * Takes what an agent sends in answer to one question: the handler of `PublishLogs`. `stopReading` is called when nobody
   * reads any more. Rejects with `permission-denied` when another node was asked.
   */
  async publish(
    requests: AsyncIterable<PublishLogsRequest>,
    nodeId: string,
    stopReading: () => void,
  ): Promise<PublishLogsResponse> {
    let id: string | undefined;
    try {
      for await (const request of requests) {
        id ??= request.subscriptionId;
        const asked = this.#asked.get(id);
        if (asked === undefined) return {};
        if (asked.nodeId !== nodeId) {
          id = undefined;
          throw new SwarmdError('permission-denied', 'these logs were asked of another node');
        }
        asked.stopReading = stopReading;
        if (request.records.length > 0 && !(await asked.sink.take(request.records))) return {};
        if (request.error !== '') asked.sink.tell(request.error);
        if (request.end) {
          if (this.#asked.delete(id)) asked.sink.end();
          return {};
        }
      }
    } catch (error) {
      // Reading that was stopped because nobody reads any more throws too.
      if (id === undefined || this.#asked.has(id)) throw error;
    } finally {
      if (id !== undefined) this.#lose(id);
    }
    return {};
  }

  /** A node's session has ended. */
  nodeGone(nodeId: string): void {
    for (const [id, asked] of [...this.#asked]) if (asked.nodeId === nodeId) this.#lose(id);
  }

  #lose(id: string): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    asked.stopReading?.();
    asked.sink.lost(true);
  }
}
