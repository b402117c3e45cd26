import { asSwarmdError, ERROR_TABLE, type ErrorCode } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

/** Makes every failure a Docker error: `{"message": …}` with the status that its code decides. */
export function installErrors(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler(async (thrown, request, reply) => {
    const { status, message } = toHttp(thrown);
    if (status >= 500 && status !== 503) {
      logger.warn({ err: thrown, method: request.method, url: request.url }, 'request failed');
    }
    return reply.code(status).send({ message });
  });
}

/** Status and message of any thrown value. Fastify's own errors bring a status; ours have a code. */
export function toHttp(thrown: unknown): { status: number; message: string } {
  const own = (thrown as { statusCode?: unknown } | null)?.statusCode;
  if (typeof own === 'number' && own >= 400 && thrown instanceof Error) return { status: own, message: thrown.message };
  const error = asSwarmdError(thrown);
  return { status: statusOf(error.code), message: error.apiMessage };
}

function statusOf(code: ErrorCode): number {
  return ERROR_TABLE[code].http;
}
