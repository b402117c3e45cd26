import type { LogRecord, LogsOptions } from '@swarmd/model';

const HEADER_BYTES = 8;
/** Docker's number for messages of the daemon itself. */
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
  return frame(record.stream, prefix, record.data);
}

/** A message of swarmd's own: the docker CLI prints it as an error and reads no further. */
export function encodeSystemMessage(text: string, { tty }: { tty: boolean }): Buffer {
  const line = Buffer.from(`${text}\n`);
  return tty ? line : frame(STREAM_SYSTEM, line);
}

function frame(stream: number, ...parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head[0] = stream;
  head.writeUInt32BE(
    parts.reduce((total, part) => total + part.length, 0),
    4,
  );
  return Buffer.concat([head, ...parts]);
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
