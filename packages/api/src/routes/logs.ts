import { type LogRecord, type LogsOptions, SwarmdError } from '@swarmd/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { toHttp } from '../http/errors.js';
import { encodeLogRecord, encodeSystemMessage } from '../http/log-frames.js';
import { flag, type Query, text, timeMs } from '../http/query.js';
import { API_VERSION } from '../http/versions.js';

/** Docker's words for logs of which some could not be had; the reasons follow. */
const INCOMPLETE =
  'Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not be retrieved for the following reasons';
/** More reasons than anybody reads; a service may have thousands of tasks that never ran. */
const MAX_REASONS = 100;

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
  if (raw.destroyed) gone.abort();
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
  const missing: string[] = [];
  try {
    for await (const record of records) {
      // The docker CLI stops reading at the first message of the system: they wait for the end.
      if (record.stream === 0) {
        if (missing.length < MAX_REASONS) missing.push(Buffer.from(record.data).toString().trim());
        continue;
      }
      if (raw.write(encodeLogRecord(record, form))) continue;
      await drained(raw, gone);
    }
  } catch (thrown) {
    // The headers are out: what went wrong can only be told in the stream, as Docker does.
    missing.push(toHttp(thrown).message);
  }
  if (missing.length > 0 && !gone.aborted) raw.write(encodeSystemMessage(`${INCOMPLETE}: ${missing.join(', ')}`, form));
  raw.end();
}

function drained(raw: FastifyReply['raw'], gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) return resolve();
    const done = (): void => {
      raw.off('drain', done);
      gone.removeEventListener('abort', done);
      resolve();
    };
    raw.on('drain', done);
    gone.addEventListener('abort', done);
  });
}
