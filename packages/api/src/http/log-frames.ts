import type { LogRecord, LogsOptions } from '@swarmd/model';

const HEADER_BYTES = 8;
/** Docker's number for messages of the daemon itself, which the CLI prints as an error. */
const STREAM_SYSTEM = 3;

/**
 * One log line as the Docker Engine API streams it: time and details in front of the line when asked for, in a frame
 * of stream number, three zeros and length; raw for a terminal.
 */
export function encodeLogRecord(
  record: LogRecord,
  { tty, options }: { tty: boolean; options: Pick<LogsOptions, 'timestamps' | 'details'> },
): Buffer {
  const time = options.timestamps ? `${record.timestamp} ` : '';
  const details = options.details ? `${detailsOf(record)} ` : '';
  const prefix = Buffer.from(time + details);
  if (tty) return Buffer.concat([prefix, record.data]);
  const frame = Buffer.alloc(HEADER_BYTES + prefix.length + record.data.length);
  frame[0] = record.stream === 0 ? STREAM_SYSTEM : record.stream;
  frame.writeUInt32BE(prefix.length + record.data.length, 4);
  prefix.copy(frame, HEADER_BYTES);
  frame.set(record.data, HEADER_BYTES + prefix.length);
  return frame;
}

function detailsOf({ attributes, nodeId, serviceId, taskId }: LogRecord): string {
  const all: Record<string, string> = {
    ...attributes,
    'com.docker.swarm.node.id': nodeId,
    'com.docker.swarm.service.id': serviceId,
    'com.docker.swarm.task.id': taskId,
  };
  return Object.keys(all)
    .sort()
    .map((key) => `${encodeURIComponent(key)}=${encodeURIComponent(all[key] ?? '')}`)
    .join(',');
}
