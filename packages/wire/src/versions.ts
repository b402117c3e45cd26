import { InterceptingCall, type Interceptor, type Metadata } from '@grpc/grpc-js';
import { type ProtocolRange, VERSIONS, type Versions } from '@swarmd/model';

/** What a side says of itself in the metadata of every call, and in that of every answer. */
export type Announced = Pick<Versions, 'swarmd' | 'protocol'>;

const VERSION_KEY = 'swarmd-version';
const PROTOCOL_KEY = 'swarmd-protocol';
/** Who says nothing is of the first version. */
const SILENT: Announced = { swarmd: 'of an unknown version', protocol: { min: 1, max: 1 } };

/** Puts what this side is into the metadata of a call or an answer: `swarmd-protocol: 1-2`. */
export function announce(metadata: Metadata, { swarmd, protocol }: Announced = VERSIONS): Metadata {
  metadata.set(VERSION_KEY, swarmd);
  metadata.set(PROTOCOL_KEY, `${protocol.min}-${protocol.max}`);
  return metadata;
}

/** What the other side said of itself with {@link announce}. */
export function announcedIn(metadata: Metadata): Announced {
  const protocol = parseRange(metadata.get(PROTOCOL_KEY)[0]);
  const version = metadata.get(VERSION_KEY)[0];
  if (protocol === undefined) return SILENT;
  return { swarmd: typeof version === 'string' ? version : SILENT.swarmd, protocol };
}

/** Announces this side on every call of a client. */
export function announcing(own: Announced): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => next(announce(metadata, own), listener),
    });
}

function parseRange(text: unknown): ProtocolRange | undefined {
  const match = typeof text === 'string' ? /^(\d{1,9})-(\d{1,9})$/.exec(text) : null;
  return match === null ? undefined : { min: Number(match[1]), max: Number(match[2]) };
}
