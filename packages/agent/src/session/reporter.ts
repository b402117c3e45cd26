import type { TaskStatus } from '@swarmd/model';
import type { StatusAck, StatusBatch } from '@swarmd/wire';

/** Most statuses and bytes in one batch: well under gRPC's limit for a message. */
const MAX_BATCH = 1_000;
const MAX_BATCH_BYTES = 256 * 1024;
/** Batches that may wait for their acknowledgement; what changes meanwhile goes together with the next. */
const MAX_IN_FLIGHT = 4;

/** Sends statuses to whichever manager is connected: at once when the line is free, the latest of each task when not. */
export interface StatusReporter {
  /** A task's status changed. */
  changed(taskId: string, status: TaskStatus): void;
  /** A session has begun: everything is told again. */
  attach(send: (batch: StatusBatch) => void, all: Iterable<readonly [string, TaskStatus]>): void;
  detach(): void;
  acknowledged(ack: StatusAck): void;
}

/** A {@link StatusReporter}. */
export function createStatusReporter(): StatusReporter {
  const pending = new Map<string, TaskStatus>();
  /** Refused by the cluster for good, until they change. */
  const refused = new Map<string, TaskStatus>();
  const inFlight = new Map<number, ReadonlyMap<string, TaskStatus>>();
  let send: ((batch: StatusBatch) => void) | undefined;
  let sequence = 0;
  let scheduled = false;

  const flush = (): void => {
    scheduled = false;
    while (send !== undefined && pending.size > 0 && inFlight.size < MAX_IN_FLIGHT) {
      const sent = new Map<string, TaskStatus>();
      const statuses: StatusBatch['statuses'] = [];
      let bytes = 0;
      for (const [taskId, status] of pending) {
        if (statuses.length >= MAX_BATCH || bytes > MAX_BATCH_BYTES) break;
        const encoded = Buffer.from(JSON.stringify(status));
        bytes += encoded.length;
        statuses.push({ taskId, status: encoded });
        sent.set(taskId, status);
        pending.delete(taskId);
      }
      sequence++;
      inFlight.set(sequence, sent);
      send({ sequence, statuses });
    }
  };

  return {
    changed(taskId, status) {
      pending.set(taskId, status);
      if (scheduled) return;
      scheduled = true;
      // Steps that follow each other in one turn of the event loop become one report.
      setImmediate(flush);
    },
    attach(sender, all) {
      inFlight.clear();
      const still = new Map(all);
      for (const taskId of refused.keys()) if (!still.has(taskId)) refused.delete(taskId);
      for (const [taskId, status] of still) {
        if (refused.get(taskId) !== status && !pending.has(taskId)) pending.set(taskId, status);
      }
      send = sender;
      flush();
    },
    detach() {
      send = undefined;
      // The next session tells all again.
      pending.clear();
      inFlight.clear();
    },
    acknowledged(ack) {
      const sent = inFlight.get(ack.sequence);
      inFlight.delete(ack.sequence);
      for (const { taskId } of ack.rejected) {
        const status = sent?.get(taskId);
        if (status) refused.set(taskId, status);
      }
      flush();
    },
  };
}
