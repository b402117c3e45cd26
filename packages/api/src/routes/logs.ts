import { type LogRecord, type LogsOptions, SwarmdError } from '@swarmd/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { toHttp } from '../http/errors.js';
import { encodeLogRecord } from '../http/log-frames.js';
import { flag, type Query, text, timeMs } from '../http/query.js';
import { API_VERSION } from '../http/versions.js';

type WithId = { Params: { id: string }; Querystring: Query };

/** `/services/{id}/logs` and `/tasks/{id}/logs`. */
export async function logRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  app.get<WithId>('/services/:id/logs', async (request, reply) =>
    sendLogs(context, { service: request.params.id }, request, reply),
  );
  app.get<WithId>('/tasks/:id/logs', async (request, reply) =>
    sendLogs(context, { task: request.params.id }, request, reply),
  );
}

function logsOptions(query: Query): LogsOptions {
  const options = { stdout: flag(query, 'stdout'), stderr: flag(query, 'stderr') };
  if (!options.stdout && !options.stderr) {
    throw new SwarmdError('invalid-argument', 'Bad parameters: you must choose at least one stream');
  }
  const tail = text(query, 'tail');
  const lines = tail === '' || tail === 'all' ? -1 : Number(tail);
  const sinceMs = timeMs(query, 'since');
  const untilMs = timeMs(query, 'until');
  return {
    ...options,
    follow: flag(query, 'follow'),
    timestamps: flag(query, 'timestamps'),
    details: flag(query, 'details'),
    tail: Number.isInteger(lines) && lines >= 0 ? lines : -1,
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}

async function sendLogs(
  { membership, closing }: ApiContext,
  selector: { service: string } | { task: string },
  request: FastifyRequest<WithId>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const options = logsOptions(request.query);
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, closing]);
  const { tty, records } = await requireControl(membership).logs(selector, options, signal);
  reply.hijack();
  const { raw } = reply;
  raw.on('close', () => gone.abort());
  raw.writeHead(200, {
    'Content-Type': `application/vnd.docker.${tty ? 'raw' : 'multiplexed'}-stream`,
    'Api-Version': API_VERSION,
    Ostype: 'linux',
  });
  raw.flushHeaders();
  await writeRecords(records, { tty, options }, raw, gone.signal);
  return reply;
}

async function writeRecords(
  records: AsyncIterable<LogRecord>,
  form: { tty: boolean; options: LogsOptions },
  raw: FastifyReply['raw'],
  gone: AbortSignal,
): Promise<void> {
  try {
    for await (const record of records) {
      if (raw.write(encodeLogRecord(record, form))) continue;
      await drained(raw, gone);
    }
  } catch (thrown) {
    // The headers are out: what went wrong can only be told as a line of the stream, as Docker does.
    if (!gone.aborted) raw.write(encodeError(toHttp(thrown).message, form.tty));
  }
  raw.end();
}

function encodeError(message: string, tty: boolean): Buffer {
  const data = Buffer.from(`Error grabbing logs: ${message}\n`);
  if (tty) return data;
  const head = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([head, data]);
}

function drained(raw: FastifyReply['raw'], gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      raw.off('drain', done);
      gone.removeEventListener('abort', done);
      resolve();
    };
    raw.on('drain', done);
    gone.addEventListener('abort', done);
  });
}
