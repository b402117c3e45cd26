import type { Readable } from 'node:stream';
import { type LogsOptions, SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import type { EngineClient } from '../engine/client.js';
import { engineError } from '../engine/errors.js';

/** One message of a container's log: 1 stdout, 2 stderr. */
export interface LogMessage {
  stream: 1 | 2;
  /** RFC 3339 with nanoseconds, as the engine recorded it. */
  timestamp: string;
  /** The line with its newline; a very long line comes in several messages. */
  data: Buffer;
}

const HEADER_BYTES = 8;
/** The engine cuts lines at 16 KiB; anything near this is not a log frame. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** A terminal may never send a newline: what is longer comes in pieces. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * Reads a container's log from its engine, with timestamps. Ends when the log does, or with `follow` when the container
 * stops; `signal` ends it at once. Throws `SwarmdError`s.
 */
export async function* readLogs(
  client: EngineClient,
  container: { id: string; tty: boolean },
  options: LogsOptions,
  signal: AbortSignal,
): AsyncGenerator<LogMessage> {
  const stream = await openLogs(client.docker, container.id, options, signal);
  try {
    if (container.tty) {
      for await (const line of splitLines(stream)) yield stamped(1, line);
    } else {
      for await (const [source, data] of splitFrames(stream)) yield stamped(source, data);
    }
  } catch (thrown) {
    if (signal.aborted) return;
    throw engineError(thrown);
  } finally {
    stream.destroy();
  }
}

function openLogs(docker: Docker, id: string, options: LogsOptions, signal: AbortSignal): Promise<Readable> {
  const query = {
    follow: options.follow,
    stdout: options.stdout,
    stderr: options.stderr,
    timestamps: true,
    tail: options.tail < 0 ? 'all' : String(options.tail),
    ...(options.sinceMs === undefined ? {} : { since: (options.sinceMs / 1000).toFixed(3) }),
    ...(options.untilMs === undefined ? {} : { until: (options.untilMs / 1000).toFixed(3) }),
  };
  // dockerode's own logs() collects all of a log in memory unless it follows.
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${id}/logs?`,
        method: 'GET',
        isStream: true,
        abortSignal: signal,
        statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
        options: query,
      },
      (error: unknown, data: unknown) => (error ? reject(engineError(error)) : resolve(data as Readable)),
    );
  });
}

/** The engine's frames: a byte for the stream, three of nothing, four for the length. */
export async function* splitFrames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<[1 | 2, Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(4);
      if (length > MAX_FRAME_BYTES) throw new SwarmdError('internal', 'the engine sent something that is no log');
      if (rest.length < HEADER_BYTES + length) break;
      yield [rest[0] === 2 ? 2 : 1, rest.subarray(HEADER_BYTES, HEADER_BYTES + length)];
      rest = rest.subarray(HEADER_BYTES + length);
    }
  }
}

/** Lines of a stream with their newlines; the last may have none, and very long ones come in pieces. */
export async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.subarray(0, end + 1);
      rest = rest.subarray(end + 1);
    }
    while (rest.length > MAX_LINE_BYTES) {
      yield rest.subarray(0, MAX_LINE_BYTES);
      rest = rest.subarray(MAX_LINE_BYTES);
    }
  }
  if (rest.length > 0) yield rest;
}

function stamped(stream: 1 | 2, line: Buffer): LogMessage {
  const space = line.indexOf(32);
  const head = space < 0 ? '' : line.subarray(0, space).toString('latin1');
  if (!/^\d{4}-\d\d-\d\dT/.test(head)) return { stream, timestamp: '', data: line };
  return { stream, timestamp: head, data: line.subarray(space + 1) };
}
