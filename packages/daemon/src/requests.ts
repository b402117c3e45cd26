import { type InitRequest, type JoinRequest, SwarmdError } from '@swarmd/model';
import { z } from 'zod';

const text = z.string().optional();
const texts = z.array(z.string()).nullish();
const addresses = { ListenAddr: text, AdvertiseAddr: text, DataPathAddr: text };
/** Docker's clients send none as an empty word. */
const availability = z.preprocess(
  (value) => (value === '' ? undefined : value),
  z.enum(['active', 'pause', 'drain']).optional(),
);

const InitSchema = z.looseObject({
  ...addresses,
  DataPathPort: z.number().int().min(0).max(65_535).optional(),
  DefaultAddrPool: texts,
  SubnetSize: z.number().int().min(0).max(32).optional(),
  Availability: availability,
});
const JoinSchema = z.looseObject({
  ...addresses,
  RemoteAddrs: texts,
  JoinToken: z.string(),
  Availability: availability,
});

/** A body of `POST /swarm/init`, checked but for its `Spec`. Throws `invalid-argument` naming the field. */
export function checkInit(request: InitRequest): InitRequest {
  return check(InitSchema, request) as InitRequest;
}

/** A body of `POST /swarm/join`, checked. Throws `invalid-argument` naming the field. */
export function checkJoin(request: JoinRequest): JoinRequest {
  const checked = check(JoinSchema, request);
  return { ...checked, RemoteAddrs: checked.RemoteAddrs ?? [] } as JoinRequest;
}

function check<T extends z.ZodType>(schema: T, request: unknown): z.infer<T> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  const message = field === '' ? 'the request is no object' : `invalid value for ${field}: ${issue?.message}`;
  throw new SwarmdError('invalid-argument', message, { field });
}
