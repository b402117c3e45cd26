import { SwarmdError } from '@swarmd/model';
import type { EtcdAdmin, EtcdProbe } from '../admin/admin.js';
import { etcdErrorKind } from '../admin/errors.js';
import { MAX_REQUEST_BYTES, MAX_TXN_OPS } from '../process/flags.js';

/** What an etcd that we did not start takes. */
export interface EtcdLimits {
  version: string;
  /** Operations in one transaction; at most what we ever need, {@link MAX_TXN_OPS}. */
  txnOps: number;
  /** Bytes in one request, with some for its frame left out; at most {@link MAX_REQUEST_BYTES}. */
  requestBytes: number;
}

/** What a request holds besides its values. */
const FRAME_BYTES = 64 * 1024;
/** etcd's defaults are 128 and 1.5 MiB; less cannot hold one object of the largest size. */
const LEAST = { txnOps: 64, requestBytes: 1024 * 1024 };

/**
 * Finds the limits of the etcd behind `admin` by transactions that write nothing. `permission-denied` when it wants a
 * user; `failed-precondition` when a limit is too small, or it is older than 3.4.
 */
export async function probeLimits(admin: EtcdAdmin, signal: AbortSignal): Promise<EtcdLimits> {
  const { version } = await admin.status(signal).catch(withoutUser);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 3 || (major === 3 && minor < 4)) {
    throw new SwarmdError('failed-precondition', `etcd 3.4 or newer is needed, and this one is ${version}`);
  }
  const takes = async (probe: EtcdProbe): Promise<boolean> => {
    try {
      await admin.probe(probe, signal);
      return true;
    } catch (thrown) {
      const kind = etcdErrorKind(thrown);
      return kind === 'too-many-operations' || kind === 'too-large' ? false : withoutUser(thrown);
    }
  };
  const txnOps = await largest(MAX_TXN_OPS, LEAST.txnOps, (compares) => takes({ compares, valueBytes: 1 }));
  const requestBytes = await largest(MAX_REQUEST_BYTES, LEAST.requestBytes, (bytes) =>
    takes({ compares: 1, valueBytes: bytes - FRAME_BYTES }),
  );
  if (txnOps === undefined || requestBytes === undefined) {
    const [what, least, flag] =
      txnOps === undefined
        ? ['operations in a transaction', LEAST.txnOps, `--max-txn-ops=${MAX_TXN_OPS}`]
        : ['bytes in a request', LEAST.requestBytes, `--max-request-bytes=${MAX_REQUEST_BYTES}`];
    throw new SwarmdError('failed-precondition', `this etcd takes fewer than ${least} ${what}: start it with ${flag}`);
  }
  return { version, txnOps, requestBytes: requestBytes - FRAME_BYTES };
}

function withoutUser(thrown: unknown): never {
  if (etcdErrorKind(thrown) !== 'auth-required') throw thrown;
  const message = 'this etcd wants a user and a password, which swarmd does not give';
  throw new SwarmdError('permission-denied', message, { cause: thrown });
}

/** The largest of `most`, `most`/2, … down to `least` that is taken. */
async function largest(
  most: number,
  least: number,
  isTaken: (size: number) => Promise<boolean>,
): Promise<number | undefined> {
  for (let size = most; size >= least; size = Math.floor(size / 2)) {
    if (await isTaken(size)) return size;
  }
  return undefined;
}
