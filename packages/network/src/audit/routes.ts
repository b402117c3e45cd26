import { AuditOptionsSchema, type NetworkAudits, ProbeSchema, SwarmdError } from '@swarmd/model';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { z } from 'zod';

/** {@link NetworkAudits} as JSON over HTTP, one path per method. */
export function auditRoutes(app: FastifyInstance, audits: NetworkAudits): void {
  app.post('/audit', async ({ body }, reply) => audits.audit(checked(AuditOptionsSchema, body), callerGone(reply)));
  app.get<{ Params: { id: string } }>('/members/:id', async ({ params }) => ({
    lines: await audits.members(params.id),
  }));
  app.post('/probe', async ({ body }, reply) => audits.probe(checked(ProbeSchema, body), callerGone(reply)));
}

function callerGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort(new SwarmdError('aborted', 'nobody waits for the answer any more')));
  return gone.signal;
}

function checked<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new SwarmdError('invalid-argument', `${field}: ${issue?.message}`, { field });
}
